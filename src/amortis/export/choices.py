"""Families, inference functions and objectives as plain values: the class by name, and choices.

Only classes of this library are known, each by name: a manifest can choose among them, and can
never cause anything to be imported.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx

from amortis._errors import ArgumentError
from amortis._require import shown
from amortis.export.known_choices import (
    ACTIVATIONS,
    ENCODINGS,
    FAMILIES,
    FUNCTIONS,
    GATES,
    LAYERS,
    OBJECTIVES,
    RULES,
    STARTS,
    STEP_WEIGHTS,
    TRANSFORMERS,
)
from amortis.export.malformed import Malformed
from amortis.export.plain_values import entry, of_kind, offsets, ranges, size
from amortis.families import AbstractFamily, AbstractLayers
from amortis.inference_functions import (
    AbstractInferenceFunction,
    AbstractRowFunction,
    AbstractSlopeEncoding,
    FromPrior,
)
from amortis.objectives import AbstractObjective

_LIMITS = {
    "depth": 1000,
    "degree": 20_000,
    "layers": 1000,
    "components": 100_000,
    "steps": 1_000_000,
}
"""Layers are traced and terms counted when an archive is read: a number must not cost hours."""

_LATER: Mapping[str, Any] = {"start_sd": 0.0}
"""What older archives do not say, by name, with what it was then; it is written if it differs."""

T = TypeVar("T", bound=eqx.Module)


def family_to_plain(role: str, family: AbstractFamily) -> dict[str, Any]:
    """A family as plain values.

    Args:
        role: the argument of `fit` that it was.
        family: one of this library's.

    Raises:
        ArgumentError: it is of another class.
    """
    return _to_plain(role, family, FAMILIES)


def function_to_plain(function: AbstractInferenceFunction) -> dict[str, Any]:
    """An inference function's choices as plain values.

    Args:
        function: one of this library's.

    Raises:
        ArgumentError: it is of another class, or has an activation of the user's own.
    """
    return _to_plain("inference", function, FUNCTIONS)


def family_from_plain(plain: object) -> AbstractFamily:
    """The family again.

    Raises:
        Malformed: no family of this library is written so.
    """
    return _from_plain(plain, FAMILIES)


def function_from_plain(plain: object) -> AbstractInferenceFunction:
    """The inference function again.

    Raises:
        Malformed: no inference function of this library is written so.
    """
    return _from_plain(plain, FUNCTIONS)


def objective_to_plain(objective: AbstractObjective | None) -> dict[str, Any] | None:
    """What was maximised in place of the ELBO as plain values.

    Args:
        objective: one of this library's, or None.

    Raises:
        ArgumentError: it is of another class.
    """
    return None if objective is None else _to_plain("objective", objective, OBJECTIVES)


def objective_from_plain(plain: object) -> AbstractObjective | None:
    """The objective again; None for the ELBO, of which older archives say nothing.

    Raises:
        Malformed: no objective of this library is written so.
    """
    return None if plain is None else _from_plain(plain, OBJECTIVES)


def _to_plain(role: str, choice: Any, known: Mapping[str, type[T]]) -> dict[str, Any]:
    name = type(choice).__name__
    if known.get(name) is not type(choice):
        raise ArgumentError(
            f"{role} of the fit is {shown(choice)}, a class of your own, and an archive holds no "
            f"code; expected one of {', '.join(known)}: keep this fit's arrays with numpy.savez"
        )
    fields = {f.name: getattr(choice, f.name) for f in dataclasses.fields(choice)}
    fields = {n: value for n, value in fields.items() if (n, value) not in _LATER.items()}
    return {"class": name} | {n: _WRITTEN[n](value) for n, value in fields.items()}


def _from_plain(plain: object, known: Mapping[str, type[T]]) -> T:
    name = entry(plain, "class", str)
    if name not in known:
        raise Malformed(f"has {shown(name)} where one of {', '.join(known)} should be")
    given: dict[str, Any] = of_kind(name, plain, dict)
    fields = [f.name for f in dataclasses.fields(known[name])]
    if not {"class", *fields} - set(_LATER) <= set(given) <= {"class", *fields}:
        raise Malformed(f"has a {name} that was chosen by other things than {fields}")
    try:
        return known[name](**{n: _READ[n](given[n]) for n in fields if n in given})
    except ArgumentError as error:
        raise Malformed(f"has a {name} that cannot be: {error}") from error


def _activation_name(function: Callable[..., Any]) -> str:
    for name, known in ACTIVATIONS.items():
        if function is known:
            return name
    raise ArgumentError(
        f"the activation of the fit's MLP is {shown(function)}, and an archive holds no code; "
        f"expected one of {', '.join(ACTIVATIONS)} of jax.nn: fit with one of those"
    )


def _written(name: str) -> Callable[[Any], int]:
    def write(value: Any) -> int:
        if value > _LIMITS[name]:
            raise ArgumentError(
                f"the inference function of the fit has {name} {value}; expected at most "
                f"{_LIMITS[name]} in an archive: fit with a lower one"
            )
        return int(value)

    return write


def _read_activation(plain: object) -> Callable[..., Any]:
    name = of_kind("activation", plain, str)
    if name not in ACTIVATIONS:
        raise Malformed(f"has an activation {shown(name)}, not one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _read(name: str) -> Callable[[object], int]:
    def read(plain: object) -> int:
        value = size(name, plain)
        if value > _LIMITS.get(name, value):
            raise Malformed(f"has an inference function of {name} {value}")
        return value

    return read


def _read_inner(plain: object) -> AbstractInferenceFunction:
    rows = {n: known for n, known in FUNCTIONS.items() if issubclass(known, AbstractRowFunction)}
    return _from_plain(plain, rows)


def _layers_written(value: Any) -> Any:
    """The layers of a flow, or how many there are of them."""
    nested = isinstance(value, AbstractLayers)
    return _to_plain("layers", value, LAYERS) if nested else _written("layers")(value)


def _layers_read(plain: object) -> Any:
    return _from_plain(plain, LAYERS) if isinstance(plain, dict) else _read("layers")(plain)


def _start_written(value: Any) -> dict[str, Any] | None:
    if isinstance(value, FromPrior):
        return _to_plain("start", value, STARTS)
    return None if value is None else function_to_plain(value)


def _start_read(plain: object) -> AbstractInferenceFunction | FromPrior | None:
    if isinstance(plain, dict) and plain == {"class": "FromPrior"}:
        return FromPrior()
    return None if plain is None else _read_inner(plain)


_SLOPES = {n: known for n, known in ENCODINGS.items() if issubclass(known, AbstractSlopeEncoding)}

_NESTED: Mapping[str, Mapping[str, type[Any]]] = {
    "encoding": ENCODINGS,
    "function_gradient": STEP_WEIGHTS,
    "gate": GATES,
    "model_gradient": STEP_WEIGHTS,
    "rule": RULES,
    "transformer": TRANSFORMERS,
}
"""Choices that are made of the classes of one kind."""


_WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    name: functools.partial(_to_plain, name, known=known) for name, known in _NESTED.items()
} | {
    "activation": _activation_name,
    "alpha": float,
    "beside": lambda value: None if value is None else _to_plain("beside", value, _SLOPES),
    "components": _written("components"),
    "degree": _written("degree"),
    "decay": float,
    "depth": _written("depth"),
    "draws": int,
    "first_weight": float,
    "given": lambda family: family_to_plain("locals_", family),
    "others": lambda family: family_to_plain("globals_", family),
    "points": lambda points: [list(run) for run in points],
    "globals_": int,
    "inner": function_to_plain,
    "inner_steps": int,
    "knots": int,
    "layers": _layers_written,
    "memory": int,
    "nats": float,
    "network": function_to_plain,
    "offsets": list,
    "rank": int,
    "rate": float,
    "reach": float,
    "reads_context": bool,
    "skip": bool,
    "square_decay": float,
    "start": _start_written,
    "start_sd": float,
    "step_size": float,
    "steps": _written("steps"),
    "through": bool,
    "width": int,
}
_READ: Mapping[str, Callable[[object], Any]] = {
    name: functools.partial(_from_plain, known=known) for name, known in _NESTED.items()
} | {
    "activation": _read_activation,
    "alpha": lambda plain: of_kind("alpha", plain, float),
    "beside": lambda plain: None if plain is None else _from_plain(plain, _SLOPES),
    "components": _read("components"),
    "degree": _read("degree"),
    "decay": lambda plain: of_kind("decay", plain, float),
    "depth": _read("depth"),
    "draws": _read("draws"),
    "first_weight": lambda plain: of_kind("first_weight", plain, float),
    "given": family_from_plain,
    "others": family_from_plain,
    "points": ranges,
    "globals_": _read("globals_"),
    "inner": _read_inner,
    "inner_steps": _read("inner_steps"),
    "knots": _read("knots"),
    "layers": _layers_read,
    "memory": _read("memory"),
    "nats": lambda plain: of_kind("nats", plain, float),
    "network": _read_inner,
    "offsets": offsets,
    "rank": _read("rank"),
    "rate": lambda plain: of_kind("rate", plain, float),
    "reach": lambda plain: of_kind("reach", plain, float),
    "reads_context": lambda plain: of_kind("reads_context", plain, bool),
    "skip": lambda plain: of_kind("skip", plain, bool),
    "square_decay": lambda plain: of_kind("square_decay", plain, float),
    "start": _start_read,
    "start_sd": lambda plain: of_kind("start_sd", plain, float),
    "step_size": lambda plain: of_kind("step_size", plain, float),
    "steps": _read("steps"),
    "through": lambda plain: of_kind("through", plain, bool),
    "width": _read("width"),
}
