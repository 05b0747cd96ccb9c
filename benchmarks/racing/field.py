"""Who runs: one line per contestant."""

import dataclasses
from typing import Any

from racing.tasks import Task

RATES = (1e-1, 1e-2, 1e-3)
MOST_OF_A_COVARIANCE = 1500
"""Latents up to which a full covariance is a reasonable choice."""


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A tool and how it is used.

    Attributes:
        name: as the tables have it.
        module: of `racing.contestants`.
        options: what its `run` is told.
        rates: learning rates, of which its best one counts.
        ours: whether it is amortis.
        peers: whether it runs in the peers' own environment.
        most: latents up to which it takes part.
        without: tasks in which it does not take part.
        factorized: whether its q is in the factorized family, and sets the best known ELBO.
        instead: other modules of `racing.contestants`, by the task in which they take its place.
    """

    name: str
    module: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    rates: tuple[float | None, ...] = (None,)
    ours: bool = False
    peers: bool = False
    most: int = 10**9
    without: tuple[str, ...] = ()
    factorized: bool = True
    instead: dict[str, str] = dataclasses.field(default_factory=dict)

    def enters(self, task: Task) -> bool:
        """Whether it takes part in a task."""
        return task.latents <= self.most and task.name not in self.without

    def module_for(self, task: str) -> str:
        """The module of `racing.contestants` that runs a task."""
        return self.instead.get(task, self.module)


def _ours(name: str, function: str, refined: bool = False) -> Contestant:
    return Contestant(name, "ours", {"function": function, "refined": refined}, ours=True)


CONTESTANTS = (
    _ours("amortis A-VI", "default"),
    _ours("amortis F-VI", "table"),
    _ours("amortis refined", "default", refined=True),
    _ours("amortis constant", "constant"),
    Contestant(
        "PyTorch F-VI", "pytorch", {"function": "table"}, RATES, instead={"bnn": "pytorch_bnn"}
    ),
    Contestant(
        "PyTorch A-VI",
        "pytorch",
        {"function": "row"},
        RATES,
        without=("radon",),  # no function of one row: a county has many homes
        instead={"bnn": "pytorch_bnn"},
    ),
    Contestant("NumPyro AutoNormal", "numpyro_svi", {"guide": "normal"}, RATES),
    Contestant(
        "NumPyro AutoMultivariateNormal",
        "numpyro_svi",
        {"guide": "multivariate"},
        RATES,
        most=MOST_OF_A_COVARIANCE,
        factorized=False,
    ),
    Contestant("PyMC ADVI", "pymc_advi", {}, RATES, peers=True),
    Contestant("BlackJAX mean-field VI", "blackjax_mfvi", {}, RATES, peers=True),
    Contestant("pymc-extras DADVI", "dadvi", {}, peers=True),
    # Adapting to the network takes 500 trajectories of up to 1023 gradients, 25 ms each; and means
    # of weights that can change places say nothing.
    Contestant("NumPyro NUTS", "nuts", {}, without=("bnn",)),
)
