"""Settings of an experiment as frozen records."""

import dataclasses
import enum
import math
from collections.abc import Mapping

import amortis
from amortis.experiments.comparison import Setting

NEVER = math.inf
"""Iterations to a tolerance that is not reached; "never" in the files."""

InferenceFunction = (
    amortis.Constant | amortis.Table | amortis.Polynomial | amortis.MLP | amortis.Windowed
)


class ScheduleName(enum.Enum):
    """Which schedule of the paper's optimiser to run."""

    PUBLISHED = "published"
    SHORT = "short"


@dataclasses.dataclass(frozen=True)
class Method:
    """An inference function under the name that tables give it.

    Attributes:
        name: such as "A-VI, k = 16".
        function: constant, table, polynomial, mlp, or default (the library's own choice).
        width: of an `MLP`.
        depth: of an `MLP`.
        degree: of a `Polynomial`.
        window: offsets of the rows read, such as (-1, 0); empty for the unit's own row.
        data: which of the experiment's data sets it is fitted to, where there are several.
        seeds: seeds of our arm, where it takes more than the experiment; else None.
    """

    name: str
    function: str
    width: int = 16
    depth: int = 2
    degree: int = 1
    window: tuple[int, ...] = ()
    data: str = ""
    seeds: int | None = None

    def inference(self, *, skip: bool) -> InferenceFunction | None:
        """The inference function as an object; None for the library's own choice.

        Args:
            skip: whether networks have the linear skip, which the paper's have not.
        """
        made: dict[str, InferenceFunction | None] = {
            "constant": amortis.Constant(),
            "table": amortis.Table(),
            "polynomial": amortis.Polynomial(self.degree),
            "mlp": amortis.MLP(self.width, depth=self.depth, skip=skip),
            "default": None,
        }
        function = made[self.function]
        if self.window and isinstance(function, amortis.MLP | amortis.Polynomial):
            return amortis.Windowed(function, self.window)
        return function


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long the paper's optimiser runs.

    Attributes:
        draws: independent draws per step.
        iterations: steps.
        iterations_of: steps of single methods that take another number.
        cut: what a short schedule leaves out, in words; empty for the published one.
    """

    draws: int
    iterations: int
    iterations_of: Mapping[str, int]
    cut: str = ""


@dataclasses.dataclass(frozen=True)
class Expected:
    """What was printed, or follows from a closed form, for a method.

    Attributes:
        best: lowest loss of the seeds, in nats.
        median: median loss of the seeds, NaN where it was not printed.
        iterations: median iterations to 50, 10 and 1 % of the target; `NEVER`, or NaN where a
            number was not printed.
        worst: highest loss of the seeds, NaN where it was not printed.
        succeeded: printed share of seeds within 1 % of the target, NaN where it was not printed.
        rounding: how far a printed loss may be from what was computed, in nats.
        failures: what was printed on seeds that failed.
        reason: why our result differs, where it does; goes into the page.
    """

    best: float = math.nan
    median: float = math.nan
    iterations: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    worst: float = math.nan
    succeeded: float = math.nan
    rounding: float = 0.01
    failures: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """One setting of an experiment.

    Attributes:
        setting: as the paper states the model, or as its code ran it.
        skip: whether our networks have the linear skip.
        schedules: of the paper's optimiser, published and short.
        rates: Adam's learning rates by method, the published one first; none: not run.
        expected: by method.
    """

    setting: Setting
    skip: bool
    schedules: Mapping[ScheduleName, Schedule]
    rates: Mapping[str, tuple[float, ...]]
    expected: Mapping[str, Expected]


@dataclasses.dataclass(frozen=True)
class Statement:
    """What the paper says of an experiment.

    Attributes:
        says: the statement.
        holds: `yes`, `no`, or what of it holds.
        why: what was found, and the reason.
    """

    says: str
    holds: str
    why: str


@dataclasses.dataclass(frozen=True)
class Settings:
    """One experiment.

    Attributes:
        experiment: its name on the command line.
        title: for people.
        figures: which figures and tables of the paper it rebuilds.
        seeds: fits per method and arm.
        sizes: numbers of rows and the like, by name.
        methods: in the order of the tables.
        plans: by setting; an experiment may have one only.
        statements: what the paper says, and whether it holds; for the page.
    """

    experiment: str
    title: str
    figures: str
    seeds: int
    sizes: Mapping[str, int]
    methods: tuple[Method, ...]
    plans: Mapping[Setting, Plan]
    statements: tuple[Statement, ...]
