"""`Parameter`: a distribution for what has no distribution."""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.distributions import biject_to, constraints, transforms


class Parameter(dist.Distribution):
    """A value without a density: its log probability is zero everywhere in its support."""

    pytree_data_fields = ("start",)
    pytree_aux_fields = ("constraint",)

    def __init__(self, start: Any, constraint: Any, *, validate_args: bool | None = None) -> None:
        self.start, self.constraint = start, constraint
        super().__init__((), jnp.shape(start), validate_args=validate_args)

    @property
    def support(self) -> Any:
        """Where the value lies."""
        return _WithoutVolume(self.constraint, len(self.event_shape))

    @property
    def mean(self) -> Array:
        """Where the search starts."""
        return jnp.asarray(self.start)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        """Where the search starts: nothing is random."""
        del key
        return jnp.broadcast_to(jnp.asarray(self.start), (*sample_shape, *self.event_shape))

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        """Zero: no value is more probable than another."""
        return jnp.zeros(jnp.shape(value)[: jnp.ndim(value) - len(self.event_shape)])


class _WithoutVolume(constraints.Constraint[Any]):
    """A constraint whose bijection has no volume to account for, since there is no density."""

    def __init__(self, base: Any, event_dim: int) -> None:
        self.base = base
        self._event_dim = event_dim

    @property
    def event_dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All axes belong to the one value."""
        return self._event_dim

    def __call__(self, x: Any) -> Any:
        inside = self.base(x)
        return jnp.all(inside, axis=tuple(range(-(self._event_dim - self.base.event_dim), 0)))

    def feasible_like(self, prototype: Any) -> Any:
        """Some value in it."""
        return self.base.feasible_like(prototype)

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[tuple[str, ...], dict[str, Any]]]:
        """All of it is static."""
        return (), ((), {"base": self.base, "_event_dim": self._event_dim})


class _Weightless(transforms.Transform[Any]):
    """The bijection of a constraint, whose log determinant counts as zero."""

    def __init__(self, constraint: _WithoutVolume) -> None:
        self.constraint = constraint
        self._inner = biject_to(constraint.base)

    @property
    def domain(self) -> Any:
        """The reals, of as many axes as the value has."""
        inner = self._inner
        extra = self.constraint.event_dim - inner.codomain.event_dim
        return constraints.independent(constraints.real, inner.domain.event_dim + extra)

    @property
    def codomain(self) -> Any:
        """The constraint."""
        return self.constraint

    def __call__(self, x: Any) -> Any:
        return self._inner(x)

    def _inverse(self, y: Any) -> Any:
        return self._inner.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Array:
        """Zero, without the axes of the value."""
        return jnp.zeros(jnp.shape(y)[: jnp.ndim(y) - self.constraint.event_dim])

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a value."""
        return self._inner.forward_shape(shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of an unconstrained value."""
        return self._inner.inverse_shape(shape)

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[tuple[str, ...], dict[str, Any]]]:
        """All of it is static."""
        return (), ((), {"constraint": self.constraint, "_inner": self._inner})


biject_to.register(_WithoutVolume)(_Weightless)
