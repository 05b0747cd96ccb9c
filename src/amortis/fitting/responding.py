"""Functions of the latents whose covariance is asked for."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import shown
from amortis._types import Sites
from amortis.fitting.draws import Fitted
from amortis.fitting.moments import scattered_noise
from amortis.guide import Noise

Of = Callable[[Sites, Sites], Array]
"""Maps one draw of unconstrained globals and locals to a vector."""


def of_globals(theta: Sites, z: Sites) -> Array:
    """The unconstrained globals, laid end to end."""
    del z
    return jnp.concatenate([jnp.ravel(value) for value in theta.values()])


_MOST_VALUES = 3000
"""Numbers of a function up to which their covariance is one dense matrix in memory."""

_NOT_TRACED = (jax.errors.JAXTypeError, jax.errors.JAXIndexError)
"""What Python's `if`, NumPy's functions and such raise on values that JAX has yet to compute."""


def _asked(function: Callable[[Mapping[str, Array]], Any], values: Mapping[str, Array]) -> Any:
    try:
        return function(values)
    except _NOT_TRACED as error:
        raise ArgumentError(
            f"function does what JAX cannot follow ({type(error).__name__}); expected a "
            f"smooth function of jax.numpy: write np.… as jax.numpy.…; for values that jump, as by "
            f"if, use fit.posterior(key=key)"
        ) from error
    except KeyError as error:
        raise ArgumentError(
            f"function asked for the site {error}; expected one of {', '.join(values)}: correct "
            f"the name"
        ) from error


def _number(leaf: object) -> Array:
    try:
        return jnp.asarray(leaf)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"function returned {shown(leaf)}; expected an array or a pytree of arrays: return "
            f"numbers"
        ) from error


def of_constrained(fitted: Fitted, function: Callable[[Mapping[str, Array]], Any] | None) -> Of:
    """A user's function of constrained values by site as one of unconstrained ones."""

    def of(theta: Sites, z: Sites) -> Array:
        values = fitted.model.constrain(theta, z)
        if function is None:
            parts: Any = [values[name] for name in theta]
        else:
            parts = _asked(function, values)
        leaves = [jnp.ravel(_number(leaf)) for leaf in jax.tree.leaves(parts)]
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
        size = sum(leaf.size for leaf in leaves)
        if size > _MOST_VALUES:
            raise ArgumentError(
                f"function returned {size} numbers; expected at most {_MOST_VALUES}, whose "
                f"covariance is one dense matrix: ask for those that you need"
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


@eqx.filter_jit
def spreads_of(fitted: Fitted, of: Of) -> Float[Array, " k"]:
    """Largest less smallest value of a function under a few points of q.

    Args:
        fitted: a fit.
        of: the function, of unconstrained values.
    """
    noise, raw = scattered_noise(fitted), fitted.guide.fitted_raw(fitted.variational, None)

    def one(noise: Noise) -> Array:
        return jnp.ravel(of(*fitted.guide.sample(fitted.variational, raw, noise)))

    values = jax.vmap(one)(noise)
    return jnp.max(values, axis=0) - jnp.min(values, axis=0)
