"""Array and pytree aliases shared by every room."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from jaxtyping import Array, Float, Int, Key

RandomKey: TypeAlias = Key[Array, ""]
"""A typed random key, as made by `jax.random.key(seed)`."""

Scalar: TypeAlias = Float[Array, ""]
"""A zero-dimensional floating point array."""

Sites: TypeAlias = Mapping[str, Float[Array, "..."]]
"""Unconstrained values by site name; local sites carry rows on their first axis."""

Values: TypeAlias = Mapping[str, Array]
"""Constrained values by site name, shaped as NumPyro hands them to the user."""

Rows: TypeAlias = Any
"""A pytree of row-aligned data: every array leaf has one entry per row on its first axis."""

RowIndex: TypeAlias = Int[Array, " batch"]
"""Positions of a batch of rows, each in `[0, N)`."""

Parameters: TypeAlias = Any
"""Variational parameters: a pytree of floating point arrays, all of them trained."""
