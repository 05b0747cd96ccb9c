"""Choices as they are typed, such as `mlp:16x2`, become the objects that the front door takes."""

import dataclasses
import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import TypeVar

import amortis
from amortis._errors import ArgumentError
from amortis.families import AbstractFamily
from amortis.fitting import AbstractApproximation
from amortis.inference_functions import AbstractInferenceFunction
from amortis.optimise import AbstractMethod

_Choice = TypeVar("_Choice")
_Maker = Callable[[tuple[int, ...]], _Choice]

_NONE = re.compile(r"(?!)")
_ONE = re.compile(r"(-?[0-9]+)")
_TWO = re.compile(r"(-?[0-9]+)x(-?[0-9]+)")
_ONE_OR_TWO = re.compile(r"(-?[0-9]+)(?:x(-?[0-9]+))?")
"""What may follow a colon, by how many numbers a choice takes."""

INFERENCE_FORMS = (
    "constant, table, polynomial[:DEGREE], mlp[:WIDTHxDEPTH], iterative[:STEPS[xDRAWS]] or "
    "gradient-ascent[:STEPS[xDRAWS]]"
)
GLOBALS_FORMS = (
    "diagonal, point, full-rank, low-rank[:RANK], mixture[:COMPONENTS], flow, laplace, "
    "pathfinder[:PATHS] or batch-and-match"
)
LOCALS_FORMS = "diagonal, full-rank, conditional or conditional-full-rank"
OPTIMISER_FORMS = "fixed[:DRAWS], fresh[:BATCH] or adam[:STEPSxBATCH]"


def parse_inference(text: str) -> AbstractInferenceFunction:
    """Read an inference function: `constant`, `polynomial:2`, `mlp:16x2`, `iterative:5x2`.

    The second number of `iterative` and `gradient-ascent` is that of the draws a step looks at,
    which large decoders want to be small.

    Raises:
        ArgumentError: it is none of these, or its numbers are out of range.
    """
    makers: dict[str, tuple[re.Pattern[str], _Maker[AbstractInferenceFunction]]] = {
        "constant": (_NONE, lambda _: amortis.Constant()),
        "table": (_NONE, lambda _: amortis.Table()),
        "polynomial": (_ONE, lambda numbers: amortis.Polynomial(*numbers)),
        "mlp": (_TWO, _mlp),
        "iterative": (_ONE_OR_TWO, _iterative),
        "gradient-ascent": (_ONE_OR_TWO, _gradient_ascent),
    }
    return _parse("--inference", text, makers, INFERENCE_FORMS)


def parse_globals(text: str) -> AbstractFamily | AbstractApproximation:
    """Read the factor of the globals: `diagonal`, `full-rank`, `low-rank:2`, `pathfinder:20`.

    Raises:
        ArgumentError: it is none of these, or its number is out of range.
    """
    makers: dict[str, tuple[re.Pattern[str], _Maker[AbstractFamily | AbstractApproximation]]] = {
        "diagonal": (_NONE, lambda _: amortis.DiagonalNormal()),
        "point": (_NONE, lambda _: amortis.Point()),
        "full-rank": (_NONE, lambda _: amortis.FullRank()),
        "low-rank": (_ONE, lambda numbers: amortis.LowRank(*(numbers or (1,)))),
        "mixture": (_ONE, lambda numbers: amortis.Mixture(*numbers)),
        "flow": (_NONE, lambda _: amortis.Flow()),
        "laplace": (_NONE, lambda _: amortis.Laplace()),
        "pathfinder": (_ONE, lambda numbers: amortis.Pathfinder(*numbers)),
        "batch-and-match": (_NONE, lambda _: amortis.BatchAndMatch()),
    }
    return _parse("--globals", text, makers, GLOBALS_FORMS)


def parse_locals(text: str) -> AbstractFamily:
    """Read the factor of a row's locals: `diagonal`, `full-rank`, `conditional`.

    Raises:
        ArgumentError: it is none of these.
    """
    makers: dict[str, tuple[re.Pattern[str], _Maker[AbstractFamily]]] = {
        "diagonal": (_NONE, lambda _: amortis.DiagonalNormal()),
        "full-rank": (_NONE, lambda _: amortis.FullRank()),
        "conditional": (_NONE, lambda _: amortis.Conditional()),
        "conditional-full-rank": (_NONE, lambda _: amortis.Conditional(amortis.FullRank())),
    }
    return _parse("--locals", text, makers, LOCALS_FORMS)


def parse_optimiser(text: str) -> AbstractMethod:
    """Read an optimiser: `fixed`, `fixed:64` (draws to start with), `fresh`, `fresh:1024` (batch).

    `adam:2000x100` is Adam at a constant rate of 0.001, for 2000 steps of 100 rows; `adam` for 1000
    steps of all rows.

    Raises:
        ArgumentError: it is none of these, or its number is out of range.
    """
    makers: dict[str, tuple[re.Pattern[str], _Maker[AbstractMethod]]] = {
        "fixed": (_ONE, lambda numbers: amortis.FixedDraws(draws=_only(numbers))),
        "fresh": (_ONE, lambda numbers: amortis.FreshDraws(batch=_only(numbers))),
        "adam": (_TWO, _adam),
    }
    return _parse("--optimiser", text, makers, OPTIMISER_FORMS)


def require_at_least(option: str, value: int, least: int, otherwise: str) -> None:
    """Refuse a number that is too small.

    Args:
        option: as it is typed.
        value: what came.
        least: the smallest allowed.
        otherwise: what to do instead.

    Raises:
        ArgumentError: it is too small.
    """
    if value < least:
        raise ArgumentError(f"{option} is {value}; expected at least {least}: {otherwise}")


def nearest(text: str, known: Collection[str]) -> str:
    """Words that offer the known name nearest to `text`, or all of them."""
    near = get_close_matches(text.casefold(), known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"choose among {', '.join(known)}"


def _parse(
    option: str, text: str, makers: dict[str, tuple[re.Pattern[str], _Maker[_Choice]]], forms: str
) -> _Choice:
    name, colon, rest = text.strip().casefold().partition(":")
    if name not in makers:
        raise ArgumentError(f"{option} is '{text}'; expected {forms}: {nearest(name, makers)}")
    takes, make = makers[name]
    if not colon:
        return make(())
    found = takes.fullmatch(rest)
    if not found:
        raise ArgumentError(f"{option} is '{text}'; expected {forms}, with whole numbers")
    try:
        return make(tuple(int(number) for number in found.groups() if number is not None))
    except ArgumentError as error:
        raise ArgumentError(f"{option} is '{text}': {error}") from error


def _mlp(numbers: tuple[int, ...]) -> amortis.MLP:
    return amortis.MLP(width=numbers[0], depth=numbers[1]) if numbers else amortis.MLP()


def _iterative(numbers: tuple[int, ...]) -> amortis.Iterative:
    return dataclasses.replace(amortis.Iterative(), **_steps_and_draws(numbers))


def _gradient_ascent(numbers: tuple[int, ...]) -> amortis.GradientAscent:
    return dataclasses.replace(amortis.GradientAscent(), **_steps_and_draws(numbers))


def _steps_and_draws(numbers: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(("steps", "draws"), numbers, strict=False))


def _adam(numbers: tuple[int, ...]) -> amortis.ConstantRate:
    steps, batch = numbers or (1000, None)
    return amortis.ConstantRate(1e-3, iterations=steps, batch=batch)


def _only(numbers: tuple[int, ...]) -> int | None:
    return numbers[0] if numbers else None
