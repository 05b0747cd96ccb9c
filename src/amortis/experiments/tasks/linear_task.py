"""The linear model as a task; see `experiments.linear`."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

import amortis
from amortis._types import RandomKey
from amortis.experiments import linear
from amortis.experiments.comparison import Setting
from amortis.experiments.linear import SIGMA, TAU
from amortis.experiments.runs import Arm, RunResult, recorded, recorded_fit
from amortis.experiments.settings import Method, Settings
from amortis.experiments.tasks.data_digest import data_digest

_PRINTED_QUADRATIC = 5065.82
"""S/2v of the authors' data, printed by their code for N = 10 000."""


@dataclasses.dataclass(frozen=True)
class LinearTask:
    """The linear model, bound; see `Task`.

    Attributes:
        x: data.
        setting: which convention of the loss.
        model: bound to the data.
    """

    x: Float[np.ndarray, " n"]
    setting: Setting
    model: amortis.LatentModel

    @property
    def digest(self) -> str:
        return data_digest(self.x)

    @property
    def remark(self) -> str:
        if self.setting is Setting.PAPER:
            return (
                "The loss is minus the ELBO with every constant, exact for the fitted Gaussians; "
                "the reference is its closed form."
            )
        return (
            "The authors' data are not seeded. Losses of the optimum depend on data only through "
            "S = Σ(xₙ − x̄)², so ours are scaled to their S/2v. The loss is theirs: without "
            "½ log 2π and N log σ."
        )

    @property
    def printed(self) -> bool:
        return True

    def rows(self, method: Method) -> int:
        return len(self.x)

    def best_loss(self, method: Method) -> float:
        best = linear.exact(self.x)
        constant = method.function == "constant"
        return self.loss_of(best.constant_elbo if constant else best.elbo)

    def loss_of(self, elbo: float) -> float:
        """The loss in the convention of the setting, from the ELBO; nats, total."""
        if self.setting is Setting.PAPER:
            return -elbo
        size = len(self.x)
        # All log 2 pi go but those that cancel with the entropy's.
        return -elbo - size * math.log(SIGMA) - 0.5 * (size - 1) * math.log(2 * math.pi)

    def run(
        self, method: Method, arm: Arm, *, key: RandomKey, monitor: amortis.Monitor | None
    ) -> RunResult:
        inference = method.inference(skip=False)
        fit, seconds = recorded_fit(self.model, inference, arm, key=key, monitor=monitor)
        loss = self.loss_of(linear.exact_elbo(fit, self.x))
        return recorded(fit, seconds, loss, self.loss_of)


def linear_task(settings: Settings, setting: Setting) -> LinearTask:
    """Draw the data and bind the model.

    Args:
        settings: of the experiment; `rows` among its sizes.
        setting: as the paper states it, or as the code ran it.
    """
    size = settings.sizes["rows"]
    x = linear.simulate(size, seed=0)
    if setting is Setting.CODE:
        centered = x - x.mean()
        quadratic = float(centered @ centered) / (2 * (SIGMA**2 + TAU**2))
        target = _PRINTED_QUADRATIC * size / 10_000
        x = x.mean() + centered * math.sqrt(target / quadratic)
    return LinearTask(x, setting, amortis.from_numpyro(linear.model, x))
