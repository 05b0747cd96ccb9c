"""The nonlinear model as a task; see `experiments.nonlinear`."""

import dataclasses
import math

import amortis
from amortis._types import RandomKey
from amortis.experiments import nonlinear
from amortis.experiments.comparison import Setting
from amortis.experiments.runs import Arm, RunResult, recorded, recorded_fit
from amortis.experiments.settings import Method, Settings
from amortis.experiments.tasks.data_digest import data_digest


@dataclasses.dataclass(frozen=True)
class NonlinearTask:
    """The nonlinear model, bound; see `Task`.

    Attributes:
        data: observations, and whether they are the authors'.
        setting: which model, data and convention of the loss.
        model: bound to the data.
        skip: whether networks that the library fits have the linear skip.
    """

    data: nonlinear.NonlinearData
    setting: Setting
    model: amortis.LatentModel
    skip: bool

    @property
    def digest(self) -> str:
        return data_digest(self.data.x)

    @property
    def remark(self) -> str:
        if self.setting is Setting.PAPER:
            return (
                "The loss is minus the ELBO with every constant, by quadrature. The scale of x "
                "is exp(cos z): with the paper's variance cos² z the density is unbounded."
            )
        origin = (
            "The data are the authors' own (PyTorch, seed 1789)."
            if self.data.authors
            else "The data are drawn from the same law, not the authors' own, for which PyTorch is "
            'needed (pip install "amortis[bench]"), so that printed losses are not compared.'
        )
        return (
            f"{origin} The loss is theirs: without the prior of θ, log sd(xₙ) and all ½ log 2π, by "
            f"quadrature."
        )

    @property
    def printed(self) -> bool:
        return self.setting is Setting.PAPER or self.data.authors

    def rows(self, method: Method) -> int:
        return len(self.data.x)

    def best_loss(self, method: Method) -> None:
        return None

    def loss_of(self, elbo: float) -> float:
        """The loss in the convention of the setting, from the ELBO; nats, total."""
        if self.setting is Setting.PAPER:
            return -elbo
        # Their log q leaves out log 2 pi / 2 of each factor; their log joint is taken as it is.
        return 0.5 * (len(self.data.x) + 1) * math.log(2 * math.pi) - elbo

    def run(
        self, method: Method, arm: Arm, *, key: RandomKey, monitor: amortis.Monitor | None
    ) -> RunResult:
        # The paper's networks have no linear skip; its optimiser trains those at both settings.
        inference = method.inference(skip=self.skip and arm.ours)
        fit, seconds = recorded_fit(self.model, inference, arm, key=key, monitor=monitor)
        elbo = nonlinear.exact_elbo(fit, self.data.x, self.setting)
        return recorded(fit, seconds, self.loss_of(elbo), self.loss_of)


def nonlinear_task(settings: Settings, setting: Setting) -> NonlinearTask:
    """Draw the data, or regenerate the authors', and bind the model.

    Args:
        settings: of the experiment; `rows` among its sizes.
        setting: as the paper states it, or as the code ran it.
    """
    data = nonlinear.simulate(setting, settings.sizes["rows"], seed=0)
    code = setting is Setting.CODE
    model = nonlinear.code_model(data.x) if code else amortis.from_numpyro(nonlinear.model, data.x)
    return NonlinearTask(data, setting, model, settings.plans[setting].skip)
