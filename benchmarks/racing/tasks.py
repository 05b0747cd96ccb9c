"""The tasks: their latents, laid end to end in one order that all contestants are mapped onto.

A point is one vector on NumPyro's unconstrained scale: globals in the order below, then the
locals row by row. Positive latents stand there as logarithms.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np


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
    """

    name: str
    units: int
    globals_: dict[str, tuple[int, ...]]
    local: tuple[int, ...]
    positive: tuple[str, ...] = ()
    identified: tuple[str, ...] = ()

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
        return np.concatenate([np.r_[self.places(name)] for name in self.identified])


PEOPLE, ITEMS, ANSWERS = 392, 7, 4
IMAGES, PIXELS, CODES = 1797, 64, 8
COUNTIES = 386
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
    )
}

TITLES = {
    "linear": "linear, N = 10 000",
    "nonlinear": "nonlinear, N = 10 000",
    "saw": "saw, N = 1000",
    "radon": "radon, 386 counties",
    "irt": "IRT, 392 people",
    "ppca": "digits PPCA, 1797 images",
}


def load(task: Task, folder: Path) -> dict[str, Any]:
    """The arguments of a task's models, as `racing.data` has written them."""
    with np.load(folder / f"{task.name}.npz") as file:
        data: dict[str, Any] = dict(file)
    if task.name == "radon":
        data["J"] = COUNTIES
    return data
