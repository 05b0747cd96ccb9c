"""Modules of Equinox and Flax NNX, taken apart: named arrays, and a function of them and a row."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import shown


@dataclasses.dataclass(frozen=True)
class Apart:
    """A module taken apart.

    Attributes:
        arrays: its floating point arrays by name, such as `layers.0.weight`.
        call: evaluates the module with these arrays on one row.
    """

    arrays: dict[str, Array]
    call: Callable[[dict[str, Array], Float[Array, " columns"]], Any]


def is_module(value: Any) -> bool:
    """Whether a value is a built module that could map a row to numbers."""
    return callable(value) and (isinstance(value, eqx.Module) or _is_nnx(value))


def take_apart(module: Any) -> Apart:
    """Separate a module's parameters from everything else about it.

    Parameters are the floating point arrays of an Equinox module (`eqx.partition`), or the
    `nnx.Param`s of an NNX module (`nnx.split`), in JAX's default precision.

    Args:
        module: a built module.

    Returns:
        Its parts.

    Raises:
        ArgumentError: no module, or one with state or noise.
    """
    if is_module(module):
        return _of_nnx(module) if _is_nnx(module) else _of_equinox(module)
    if isinstance(module, tuple) and any(isinstance(part, eqx.nn.State) for part in module):
        raise _stateful("an Equinox module with its State")
    came = f"the class {module.__name__}" if isinstance(module, type) else shown(module)
    raise ArgumentError(
        f"Network got {came} of type {type(module).__name__}; expected an Equinox module or a Flax "
        f"NNX module that maps a row to numbers: return one, such as eqx.nn.MLP(...)"
    )


def _stateful(what: str) -> ArgumentError:
    return ArgumentError(
        f"Network has {what}, which keeps state or draws noise; expected a function of the row "
        f"alone: leave out batch norms and dropout (layer norms are fine)"
    )


def _of_equinox(module: Any) -> Apart:
    special = (eqx.nn.StateIndex, eqx.nn.Dropout)
    for leaf in jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, special)):
        if isinstance(leaf, eqx.nn.StateIndex):
            raise _stateful(f"stateful layers in its {type(module).__name__}")
        if isinstance(leaf, eqx.nn.Dropout) and not leaf.inference and leaf.p != 0:
            raise _stateful("a Dropout that is not in inference mode")
        if isinstance(leaf, Tracer) and not _is_floating(leaf):
            raise ArgumentError(
                f"Network has an array of {leaf.dtype} beside its parameters; expected floating "
                f"point arrays: make it a NumPy array, which is a constant there"
            )
    parameters, others = eqx.partition(module, _is_floating)
    paths, structure = jax.tree_util.tree_flatten_with_path(parameters)
    arrays = _named(paths)
    names = list(arrays)

    def call(arrays: dict[str, Array], row: Float[Array, " columns"]) -> Any:
        whole: Any = eqx.combine(jax.tree.unflatten(structure, [arrays[n] for n in names]), others)
        return whole(row)

    return Apart(arrays, call)


def _of_nnx(module: Any) -> Apart:
    from flax import nnx  # a user who passes such a module has it

    graph, parameters, state = nnx.split(module, nnx.Param, ...)
    kinds = {type(variable).__name__ for _, variable in nnx.to_flat_state(state)}
    if kinds:
        raise _stateful(f"variables of kind {', '.join(sorted(kinds))}")
    paths, structure = jax.tree_util.tree_flatten_with_path(parameters)
    arrays = _named(paths)
    names = list(arrays)

    def call(arrays: dict[str, Array], row: Float[Array, " columns"]) -> Any:
        whole: Any = nnx.merge(graph, jax.tree.unflatten(structure, [arrays[n] for n in names]))
        return whole(row)

    return Apart(arrays, call)


def _is_nnx(value: Any) -> bool:
    # Whoever passes such a module has imported flax; importing it here would cost all others.
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(value, nnx.Module)


def _is_floating(leaf: Any) -> bool:
    return eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)


def _named(paths: Sequence[tuple[Any, Any]]) -> dict[str, Array]:
    dtype = jnp.result_type(float)
    names = [_name(path) for path, _ in paths]
    if len(set(names)) < len(names):
        names = [jax.tree_util.keystr(path) for path, _ in paths]
    leaves = [jnp.asarray(leaf).astype(dtype) for _, leaf in paths]
    return dict(zip(names, leaves, strict=True))


def _name(path: Any) -> str:
    """The way to a leaf, such as `layers.0.weight`; NNX keeps it in an attribute `value`."""
    keys = [str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path]
    return ".".join(keys[:-1] if len(keys) > 1 and keys[-1] == "value" else keys)
