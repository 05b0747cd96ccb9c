"""Chains and Gaussian processes as a task; see `experiments.hmm`."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

import amortis
from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.experiments import hmm
from amortis.experiments.comparison import Setting
from amortis.experiments.runs import Arm, RunResult, recorded, recorded_fit
from amortis.experiments.settings import Method, Settings
from amortis.experiments.tasks.data_digest import data_digest


@dataclasses.dataclass(frozen=True)
class Series:
    """One data set with its model and its posterior in closed form.

    Attributes:
        x: data.
        model: bound to them.
        exact: the Gaussian posterior.
    """

    x: Float[np.ndarray, " n"]
    model: amortis.LatentModel
    exact: hmm.ExactGaussian


@dataclasses.dataclass(frozen=True)
class HmmTask:
    """Models whose latents touch, bound; see `Task`. The loss is the KL to the posterior, in nats.

    Attributes:
        series: by the name that methods have in the settings under `data`.
        skip: whether networks have the linear skip.
    """

    series: Mapping[str, Series]
    skip: bool

    @property
    def digest(self) -> str:
        return data_digest(*(series.x for series in self.series.values()))

    @property
    def remark(self) -> str:
        return (
            "The loss is KL(q‖p), the log evidence less the ELBO, in closed form for the fitted "
            "Gaussians; paths show the sampled one. The reference is the closed form: for windows "
            "that of the best linear function, which networks, fitted to few rows, can beat."
        )

    @property
    def printed(self) -> bool:
        return True

    def rows(self, method: Method) -> int:
        return len(self.series[method.data].x)

    def best_loss(self, method: Method) -> float:
        series = self.series[method.data]
        if not method.window:
            return series.exact.gap
        half_width = max(method.window)
        return series.exact.gap + hmm.best_linear_gap(series.exact, series.x, half_width)

    def run(
        self, method: Method, arm: Arm, *, key: RandomKey, monitor: amortis.Monitor | None
    ) -> RunResult:
        series = self.series[method.data]
        # The paper's networks have no linear skip; its optimiser trains those at both settings.
        inference = method.inference(skip=self.skip and arm.ours)
        fit, seconds = recorded_fit(series.model, inference, arm, key=key, monitor=monitor)
        loss = series.exact.kl_of(fit)
        mean = np.asarray(fit.local_moments()[0], np.float64)[:, 0]
        return recorded(
            fit,
            seconds,
            loss,
            lambda elbo: series.exact.evidence - elbo,
            gap_per_datum=(loss - series.exact.gap) / len(series.x),
            first_mean=float(mean[0]),
            last_mean=float(mean[-1]),
        )


def hmm_task(settings: Settings, setting: Setting) -> HmmTask:
    """Draw the data and bind the models.

    Args:
        settings: of the experiment; `rows`, `chain_rows` and `gp_rows` among its sizes.
        setting: `PAPER`.

    Raises:
        ArgumentError: the setting is `CODE`: none was published.
    """
    if setting is Setting.CODE:
        raise ArgumentError(
            "--as is 'code', but the authors published no code for the hidden Markov model; "
            "expected paper: leave --as out"
        )
    sizes = settings.sizes
    examples = hmm.counter_examples(sizes["rows"])
    ones = np.ones(sizes["rows"])
    bent = np.append(ones[:-1], 3.0)
    data = dict(zip(("flat", "normal", "bent"), (ones, ones, bent), strict=True))
    series = {
        name: Series(data[name], *bound)
        for name, bound in zip(data, examples.values(), strict=True)
    }
    for name, model, covariance, closed in (
        ("chain", hmm.hmm, hmm.chain_covariance(sizes["chain_rows"]), hmm.exact_hmm),
        ("gp", hmm.gp, hmm.kernel(sizes["gp_rows"]), hmm.exact_gp),
    ):
        x = hmm.simulate(covariance, seed=0)
        series[name] = Series(x, amortis.from_numpyro(model, x), closed(x))
    return HmmTask(series, settings.plans[setting].skip)
