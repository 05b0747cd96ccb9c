"""Settings of the Bayesian neural network, from the file beside this one."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

import amortis
from amortis._errors import ArgumentError
from amortis.experiments.bnn.network import leaky_relu
from amortis.experiments.settings import Statement


@dataclasses.dataclass(frozen=True)
class BnnMethod:
    """An inference function, and what was printed for it.

    Attributes:
        name: as in the tables.
        function: table, constant or mlp.
        width: hidden units of an mlp.
        start_sd: spread of a table's entries at the start.
        mse: printed training error after the published schedule.
        epochs: printed epochs to the goal; NaN where it is never reached.
    """

    name: str
    function: str
    width: int = 0
    start_sd: float = 0.0
    mse: float = math.nan
    epochs: float = math.nan

    def inference(self) -> amortis.Table | amortis.Constant | amortis.MLP:
        """The inference function as an object; networks as in the code, without linear skip."""
        if self.function == "table":
            return amortis.Table(self.start_sd)
        if self.function == "constant":
            return amortis.Constant()
        return amortis.MLP(self.width, depth=2, skip=False, activation=leaky_relu)


@dataclasses.dataclass(frozen=True)
class BnnSchedule:
    """Which images are fitted how long by which methods.

    Attributes:
        name: of the schedule.
        data: fashion_mnist or mnist.
        part: train or test, from which the first images are taken.
        training: images that are fitted.
        held_out: images that are not; they follow those of training where the part is the same.
        held_out_part: train or test.
        batch: images per step.
        epochs: passes over the training images.
        evaluate: epochs between two evaluations of the errors.
        seeds: fits per method.
        methods: names.
        printed: whether the printed numbers are for this schedule.
    """

    name: str
    data: str
    part: str
    training: int
    held_out: int
    held_out_part: str
    batch: int
    epochs: int
    evaluate: int
    seeds: int
    methods: tuple[str, ...]
    printed: bool

    @property
    def per_epoch(self) -> int:
        """Steps per epoch."""
        return max(self.training // self.batch, 1)


@dataclasses.dataclass(frozen=True)
class BnnSettings:
    """The experiment.

    Attributes:
        title: for people.
        figures: of the paper.
        latents: dimensions of an image's code.
        hidden: widths of the decoder's hidden layers.
        rate: Adam's constant learning rate.
        draws: draws per step.
        goal: mean squared error to which epochs are counted.
        methods: by name, in the order of the tables.
        schedules: by name.
        statements: of the paper, and whether they hold.
    """

    title: str
    figures: str
    latents: int
    hidden: tuple[int, ...]
    rate: float
    draws: int
    goal: float
    methods: Mapping[str, BnnMethod]
    schedules: Mapping[str, BnnSchedule]
    statements: tuple[Statement, ...]

    def schedule(self, name: str) -> BnnSchedule:
        """The schedule of that name.

        Raises:
            ArgumentError: there is none.
        """
        if name not in self.schedules:
            near = get_close_matches(name, self.schedules, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "name one of those"
            raise ArgumentError(
                f"there is no schedule {name!r} of the Bayesian neural network; expected one of "
                f"{', '.join(self.schedules)}: {hint}"
            )
        return self.schedules[name]


def read_bnn_settings() -> BnnSettings:
    """Read the file beside this one."""
    text = (files("amortis.experiments.bnn") / "bnn.toml").read_text(encoding="utf8")
    return bnn_settings(tomllib.loads(text))


def bnn_settings(content: Mapping[str, Any]) -> BnnSettings:
    """Turn the content of a settings file into records.

    Args:
        content: the parsed file.
    """
    methods = [BnnMethod(**table) for table in content["methods"]]
    schedules = {name: _schedule(name, table) for name, table in content["schedules"].items()}
    rest: dict[str, Any] = {
        k: v
        for k, v in content.items()
        if k not in ("methods", "schedules", "hidden", "statements")
    }
    return BnnSettings(
        **rest,
        hidden=tuple(content["hidden"]),
        methods={method.name: method for method in methods},
        schedules=schedules,
        statements=tuple(Statement(**each) for each in content.get("statements", ())),
    )


def _schedule(name: str, table: Mapping[str, Any]) -> BnnSchedule:
    fields: dict[str, Any] = {**table, "name": name, "methods": tuple(table["methods"])}
    return BnnSchedule(**fields)
