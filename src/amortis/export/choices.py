"""Families, inference functions and objectives as plain values: the class by name, and choices.

Only classes of this library are known, each by name: a manifest can choose among them, and can
never cause anything to be imported.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from amortis._errors import ArgumentError
from amortis._require import shown
from amortis.export.malformed import Malformed
from amortis.export.plain_values import entry, of_kind, size
from amortis.families import (
    AbstractFamily,
    AbstractLayers,
    AbstractTransformer,
    Affine,
    AutoregressiveLayers,
    Conditional,
    CouplingLayers,
    DiagonalNormal,
    Flow,
    FullRank,
    LowRank,
    Mixture,
    Point,
    Spline,
)
from amortis.inference_functions import (
    MLP,
    AbstractInferenceFunction,
    AbstractRowFunction,
    Constant,
    Polynomial,
    SetNetwork,
    Table,
    Windowed,
)
from amortis.objectives import AbstractObjective, ImportanceWeighted, Renyi, SemiAmortized

FAMILIES: Mapping[str, type[AbstractFamily]] = {
    known.__name__: known
    for known in (DiagonalNormal, Point, FullRank, LowRank, Mixture, Flow, Conditional)
}
LAYERS: Mapping[str, type[AbstractLayers]] = {
    known.__name__: known for known in (CouplingLayers, AutoregressiveLayers)
}
TRANSFORMERS: Mapping[str, type[AbstractTransformer]] = {
    known.__name__: known for known in (Affine, Spline)
}
FUNCTIONS: Mapping[str, type[AbstractInferenceFunction]] = {
    known.__name__: known for known in (Constant, Table, Polynomial, MLP, Windowed, SetNetwork)
}
ACTIVATIONS: Mapping[str, Callable[..., Any]] = {
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}

OBJECTIVES: Mapping[str, type[AbstractObjective]] = {
    known.__name__: known for known in (SemiAmortized, ImportanceWeighted, Renyi)
}

_LIMITS = {"depth": 1000, "degree": 20_000, "layers": 1000, "components": 100_000}
"""Layers are traced and terms counted when an archive is read: a number must not cost hours."""

_LATER = {"start_sd": 0.0}
"""What older archives do not say, by name, with what it was then; it is written if it differs."""

T = TypeVar(
    "T",
    bound=AbstractFamily
    | AbstractInferenceFunction
    | AbstractLayers
    | AbstractObjective
    | AbstractTransformer,
)


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


def _read_offsets(plain: object) -> tuple[int, ...]:
    each: list[Any] = of_kind("offsets", plain, list)
    signs = [-1 if of_kind("offsets", one, int) < 0 else 1 for one in each]
    return tuple(s * size("offsets", abs(one)) for s, one in zip(signs, each, strict=True))


_WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    "activation": _activation_name,
    "alpha": float,
    "components": _written("components"),
    "degree": _written("degree"),
    "depth": _written("depth"),
    "draws": int,
    "given": lambda family: family_to_plain("locals_", family),
    "globals_": int,
    "inner": function_to_plain,
    "inner_steps": int,
    "knots": int,
    "layers": _layers_written,
    "offsets": list,
    "rank": int,
    "reach": float,
    "skip": bool,
    "start_sd": float,
    "step_size": float,
    "transformer": lambda value: _to_plain("transformer", value, TRANSFORMERS),
    "width": int,
}
_READ: Mapping[str, Callable[[object], Any]] = {
    "activation": _read_activation,
    "alpha": lambda plain: of_kind("alpha", plain, float),
    "components": _read("components"),
    "degree": _read("degree"),
    "depth": _read("depth"),
    "draws": _read("draws"),
    "given": family_from_plain,
    "globals_": _read("globals_"),
    "inner": _read_inner,
    "inner_steps": _read("inner_steps"),
    "knots": _read("knots"),
    "layers": _layers_read,
    "offsets": _read_offsets,
    "rank": _read("rank"),
    "reach": lambda plain: of_kind("reach", plain, float),
    "skip": lambda plain: of_kind("skip", plain, bool),
    "start_sd": lambda plain: of_kind("start_sd", plain, float),
    "step_size": lambda plain: of_kind("step_size", plain, float),
    "transformer": lambda plain: _from_plain(plain, TRANSFORMERS),
    "width": _read("width"),
}
