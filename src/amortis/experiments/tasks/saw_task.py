"""The saw-shaped series as a task; see `experiments.saw`."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

import amortis
from amortis._types import RandomKey
from amortis.experiments import saw
from amortis.experiments.comparison import Setting
from amortis.experiments.runs import Arm, RunResult, recorded, recorded_fit
from amortis.experiments.settings import Method, Settings
from amortis.experiments.tasks.data_digest import data_digest


@dataclasses.dataclass(frozen=True)
class SawTask:
    """The saw model, bound; see `Task`.

    Attributes:
        x: data.
        setting: which law, prior and convention of the loss.
        model: bound to the data.
        skip: whether networks that the library fits have the linear skip.
        authors: whether the data are the authors' own.
    """

    x: Float[np.ndarray, " n"]
    setting: Setting
    model: amortis.LatentModel
    skip: bool
    authors: bool = False

    @property
    def digest(self) -> str:
        return data_digest(self.x)

    @property
    def remark(self) -> str:
        if self.setting is Setting.PAPER:
            return (
                "The loss is minus the ELBO with every constant, exact for the fitted Gaussians; "
                "the reference is its closed form, for xₙ alone that of the best linear function, "
                "which networks beat a little."
            )
        return (
            "The data are the authors' own (PyTorch, seed 2012). "
            if self.authors
            else "The data are drawn from the same law, not the authors' own, for which PyTorch is "
            'needed (pip install "amortis[bench]"), so that printed losses are not compared. '
        ) + "The loss is theirs: without ½ log 2π."

    @property
    def printed(self) -> bool:
        return self.setting is Setting.PAPER or self.authors

    def rows(self, method: Method) -> int:
        return len(self.x)

    def best_loss(self, method: Method) -> float | None:
        best = saw.exact(self.x, self._flat)
        if method.function == "mlp" and not method.window:
            return None  # known for linear functions only, which networks beat
        constant = method.function == "constant"
        return self.loss_of(best.constant_elbo if constant else best.elbo)

    def loss_of(self, elbo: float) -> float:
        """The loss in the convention of the setting, from the ELBO; nats, total."""
        if self.setting is Setting.PAPER:
            return -elbo
        # Their losses leave out all log 2 pi but those that cancel with the entropies'.
        return -elbo - 0.5 * (len(self.x) - 1) * math.log(2 * math.pi)

    def run(
        self, method: Method, arm: Arm, *, key: RandomKey, monitor: amortis.Monitor | None
    ) -> RunResult:
        # The paper's networks have no linear skip; its optimiser trains those at both settings.
        inference = method.inference(skip=self.skip and arm.ours)
        fit, seconds = recorded_fit(self.model, inference, arm, key=key, monitor=monitor)
        loss = self.loss_of(saw.exact_elbo(fit, self.x, self._flat))
        return recorded(fit, seconds, loss, self.loss_of)

    @property
    def _flat(self) -> bool:
        return self.setting is Setting.CODE


def saw_task(settings: Settings, setting: Setting) -> SawTask:
    """Draw the data, or regenerate the authors', and bind the model.

    Args:
        settings: of the experiment; `rows` among its sizes.
        setting: as the paper states it, or as the code ran it.
    """
    x = saw.simulate(setting, settings.sizes["rows"], seed=0)
    model = amortis.from_numpyro(saw.model, x, setting is Setting.CODE)
    authors = setting is Setting.CODE and saw.has_authors_data(len(x))
    return SawTask(x, setting, model, settings.plans[setting].skip, authors)
