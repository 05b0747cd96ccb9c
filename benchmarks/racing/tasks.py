"""The tasks: their latents, laid end to end in one order that all contestants are mapped onto.

A point is one vector on NumPyro's unconstrained scale: globals in the order below, then the
locals row by row. Positive latents stand there as logarithms.
"""

import dataclasses
import enum
import math
from pathlib import Path
from typing import Any

import numpy as np


class Goal(enum.Enum):
    """The ELBO that is to be reached.

    BEST_PEER is for models whose optimum nobody comes near within the race's time.
    """

    BEST_KNOWN = "within 0.01 nats per unit"
    BEST_PEER = "the best ELBO that any peer has at the end of its time"


@dataclasses.dataclass(frozen=True)
class Task:
    """A model with data.

    Attributes:
        name: of the task.
        units: number of local factors, by which nats are divided: rows, steps, counties, people.
        globals_: shape of each global site, in order.
        local: shape of the local site `z`, units first.
        positive: the global sites on the positive half line.
        identified: the globals whose posterior means mean something, compared with NUTS.
        goal: the ELBO that is to be reached.
        coarse: whether snapshots are dear, so that few are taken.
        trial_sd: scale of the globals at the points at which densities are compared.
    """

    name: str
    units: int
    globals_: dict[str, tuple[int, ...]]
    local: tuple[int, ...]
    positive: tuple[str, ...] = ()
    identified: tuple[str, ...] = ()
    goal: Goal = Goal.BEST_KNOWN
    coarse: bool = False
    trial_sd: float = 0.3

    @property
    def sites(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all sites, in order."""
        return {**self.globals_, "z": self.local}

    @property
    def latents(self) -> int:
        """Number of latents, globals and locals together."""
        return sum(math.prod(shape) for shape in self.sites.values())

    @property
    def first_local(self) -> int:
        """Where the locals begin: the number of globals."""
        return self.latents - math.prod(self.local)

    def places(self, site: str) -> slice:
        """Where a site stands in the vector."""
        start = 0
        for name, shape in self.sites.items():
            if name == site:
                return slice(start, start + math.prod(shape))
            start += math.prod(shape)
        raise KeyError(site)

    def split(self, vector: Any) -> dict[str, Any]:
        """Sites of a vector, or of vectors along leading axes; of any array library."""
        return {
            name: vector[..., self.places(name)].reshape((*vector.shape[:-1], *shape))
            for name, shape in self.sites.items()
        }

    def join(self, sites: dict[str, Any]) -> np.ndarray:
        """The vector of arrays by site, which may come in any order and flat."""
        return np.concatenate([np.asarray(sites[name]).reshape(-1) for name in self.sites])

    def identified_places(self) -> np.ndarray:
        """Positions of the globals that are compared with NUTS."""
        places = [np.r_[self.places(name)] for name in self.identified]
        return np.concatenate(places) if places else np.zeros(0, int)


PEOPLE, ITEMS, ANSWERS = 392, 7, 4
IMAGES, PIXELS, CODES = 1797, 64, 8
COUNTIES = 386
MNIST_IMAGES, MNIST_PIXELS, LATENTS, WIDTH = 2000, 784, 64, 256
_ONE: dict[str, tuple[int, ...]] = {"theta": ()}

TASKS = {
    task.name: task
    for task in (
        Task("linear", 10_000, _ONE, (10_000,), identified=("theta",)),
        Task("nonlinear", 10_000, _ONE, (10_000,), identified=("theta",)),
        Task("saw", 1000, _ONE, (1000,), identified=("theta",)),
        Task(
            "radon",
            COUNTIES,
            {"mu": (), "gamma": (), "beta": (), "tau": (), "sigma": ()},
            (COUNTIES,),
            ("tau", "sigma"),
            ("mu", "gamma", "beta", "tau", "sigma"),
        ),
        Task(
            "irt",
            PEOPLE,
            {"slope": (ITEMS,), "first": (ITEMS,), "step": (ANSWERS - 2, ITEMS)},
            (PEOPLE,),
            ("slope", "step"),
            ("slope", "first", "step"),
        ),
        # The loadings are known up to a rotation only, so that their posterior means are zero.
        Task(
            "ppca",
            IMAGES,
            {"W": (PIXELS, CODES), "mu": (PIXELS,), "sigma": ()},
            (IMAGES, CODES),
            ("sigma",),
            ("mu", "sigma"),
        ),
        # Hidden units can change places, so that no weight is identified.
        Task(
            "bnn",
            MNIST_IMAGES,
            {
                "w1": (LATENTS, WIDTH),
                "b1": (WIDTH,),
                "w2": (WIDTH, WIDTH),
                "b2": (WIDTH,),
                "w3": (WIDTH, MNIST_PIXELS),
                "b3": (MNIST_PIXELS,),
            },
            (MNIST_IMAGES, LATENTS),
            goal=Goal.BEST_PEER,
            coarse=True,
            trial_sd=0.1,  # so that the prior is no trifle beside the pixels' residuals
        ),
    )
}

TITLES = {
    "linear": "linear, N = 10 000",
    "nonlinear": "nonlinear, N = 10 000",
    "saw": "saw, N = 1000",
    "radon": "radon, 386 counties",
    "irt": "IRT, 392 people",
    "ppca": "digits PPCA, 1797 images",
    "bnn": "Bayesian neural network, 2000 MNIST images",
}


def load(task: Task, folder: Path) -> dict[str, Any]:
    """The arguments of a task's models, as `racing.data` has written them."""
    with np.load(folder / f"{task.name}.npz") as file:
        data: dict[str, Any] = dict(file)
    if task.name == "radon":
        data["J"] = COUNTIES
    return data
