"""The numbers that inference functions read, one row per datum."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float


def as_inputs(
    arrays: Sequence[Array], names: Sequence[str], size: int
) -> tuple[Float[Array, "rows columns"], tuple[str, ...]]:
    """Lay all row-aligned arrays side by side as floating point columns.

    Args:
        arrays: row-aligned arrays of any trailing shape; integers and booleans are read as numbers.
        names: one name per array.
        size: number of rows N.

    Returns:
        A matrix of shape (N, columns) and the name of each column.
    """
    dtype = jnp.result_type(float)
    columns = [jnp.reshape(array, (size, -1)).astype(dtype) for array in arrays]
    labels = tuple(
        name if column.shape[1] == 1 else f"{name}[{i}]"
        for name, column in zip(names, columns, strict=True)
        for i in range(column.shape[1])
    )
    matrix = jnp.concatenate(columns, axis=1) if columns else jnp.zeros((size, 0), dtype)
    return matrix, labels
