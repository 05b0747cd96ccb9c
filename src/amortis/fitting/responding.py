"""Functions of the latents whose covariance is asked for."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
        for leaf in leaves:
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise ArgumentError(
                    f"function returned {leaf.dtype} numbers, whose means have no slope; expected "
                    f"real ones: for shares of draws use fit.posterior(key=key)"
                )
        return jnp.concatenate(leaves)

    return of


def require_slopes(*slopes: np.ndarray) -> None:
    """Refuse functions whose means do not move smoothly with q.

    Args:
        slopes: of the means, in q's parameters.

    Raises:
        ArgumentError: one is not finite.
    """
    if not all(np.isfinite(part).all() for part in slopes):
        raise ArgumentError(
            "the mean of the function has no finite slope in q; expected a function that is smooth "
            "where q has mass: see that it is defined for all values that the latents may take"
        )
