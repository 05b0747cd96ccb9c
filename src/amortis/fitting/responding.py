"""Functions of the latents whose covariance is asked for."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from amortis._errors import ArgumentError
from amortis._types import Sites
from amortis.fitting.draws import Fitted

Of = Callable[[Sites, Sites], Array]
"""Maps one draw of unconstrained globals and locals to a vector."""


def of_globals(theta: Sites, z: Sites) -> Array:
    """The unconstrained globals, laid end to end."""
    del z
    return jnp.concatenate([jnp.ravel(value) for value in theta.values()])


def _asked(function: Callable[[Mapping[str, Array]], Any], values: Mapping[str, Array]) -> Any:
    try:
        return function(values)
    except KeyError as error:
        raise ArgumentError(
            f"function asked for the site {error}; expected one of {', '.join(values)}: correct "
            f"the name"
        ) from error


def of_constrained(fitted: Fitted, function: Callable[[Mapping[str, Array]], Any] | None) -> Of:
    """A user's function of constrained values by site as one of unconstrained ones."""

    def of(theta: Sites, z: Sites) -> Array:
        values = fitted.model.constrain(theta, z)
        if function is None:
            parts: Any = [values[name] for name in theta]
        else:
            parts = _asked(function, values)
        leaves = [jnp.ravel(jnp.asarray(v)) for v in jax.tree.leaves(parts)]
        if not leaves:
            raise ArgumentError(
                "function returned no numbers; expected an array or some: return one"
            )
        return jnp.concatenate(leaves)

    return of
