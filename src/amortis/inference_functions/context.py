"""What an inference function reads: parts of a model's inputs, and batches of contexts."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from amortis._types import RowIndex
from amortis.numerics import Groups, Members


class Parts(eqx.Module):
    """The inputs that a function reads, laid out by unit.

    Attributes:
        rows: one row per unit, shape (N, columns).
        edge: for units that lack a part of their row, their number among those; -1 for others.
        members: rows that belong to groups, shape (M, columns).
        groups: the group of each of those.
    """

    rows: Float[Array, "units columns"]
    edge: Int[Array, " units"] | None = None
    members: Float[Array, "members member_columns"] | None = None
    groups: Groups | None = None

    @property
    def edges(self) -> int:
        """Number of units that lack a part of their row."""
        return 0 if self.edge is None else int(np.max(np.asarray(self.edge), initial=-1)) + 1


class WindowContext(eqx.Module):
    """Windows of rows, one per unit, and which of them are not whole; see `Parts`."""

    rows: Float[Array, "units columns"]
    edge: Int[Array, " units"]


class SetContext(eqx.Module):
    """Groups of rows, one per unit of the batch.

    Attributes:
        rows: what each unit reads besides its group.
        members: the rows of all groups of the batch.
        entries: which group of the batch each is in, and which are padding.
        groups: the groups of all units.
    """

    rows: Float[Array, "units columns"]
    members: Float[Array, "length member_columns"]
    entries: Members
    groups: Groups


def take(context: Any, index: RowIndex) -> Any:
    """The contexts of a batch of units.

    Args:
        context: of all units.
        index: the units.

    Returns:
        The same kind of context.
    """
    if isinstance(context, SetContext):
        entries = context.groups.take(index)
        members = jnp.take(context.members, entries.entry, axis=0)
        return SetContext(context.rows[index], members, entries, context.groups)
    return jax.tree.map(lambda leaf: jnp.take(leaf, index, axis=0), context)
