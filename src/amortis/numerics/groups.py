"""`Groups`: ragged groups of entries, and batches of them in arrays of a fixed size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

_FEW_COLUMNS = 16


class Members(eqx.Module):
    """The entries of a batch of groups, padded to a length that depends on the batch's size only.

    Attributes:
        entry: position of each entry in the data, shape (length,).
        group: position of its group in the batch, shape (length,).
        there: whether it is an entry and not padding, shape (length,).
    """

    entry: Int[Array, " length"]
    group: Int[Array, " length"]
    there: Bool[Array, " length"]


class _Capacity:
    """Most entries that any batch of a size can have; compared by identity, since it is long."""

    def __init__(self, counts: Int[np.ndarray, " groups"]) -> None:
        largest = np.sort(counts)[::-1]
        self.most = np.concatenate([[0], np.cumsum(largest)])


class Groups(eqx.Module):
    """Entries that each belong to one of a number of groups; groups may be empty.

    Attributes:
        owner: group of each entry, shape (entries,).
        order: entries in the order of their groups, shape (entries,).
        starts: where each group starts in that order, shape (groups,).
        counts: entries of each group, shape (groups,).
        capacity: most entries of a batch by its size.
    """

    owner: Int[Array, " entries"]
    order: Int[Array, " entries"]
    starts: Int[Array, " groups"]
    counts: Int[Array, " groups"]
    capacity: _Capacity = eqx.field(static=True)

    @classmethod
    def of(cls, owner: Int[np.ndarray, " entries"], count: int) -> "Groups":
        """Groups from the owner of each entry.

        Args:
            owner: group of each entry, in [0, count).
            count: number of groups.
        """
        counts = np.bincount(owner, minlength=count)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return cls(
            jnp.asarray(owner),
            jnp.asarray(np.argsort(owner, kind="stable")),
            jnp.asarray(starts),
            jnp.asarray(counts),
            _Capacity(counts),
        )

    @property
    def count(self) -> int:
        """Number of groups."""
        return self.counts.shape[0]

    def all(self) -> Members:
        """The entries of all groups in the order of the data, without padding."""
        entries = self.owner.shape[0]
        return Members(jnp.arange(entries), self.owner, jnp.ones(entries, bool))

    def take(self, index: Int[Array, " batch"]) -> Members:
        """The entries of a batch of groups.

        Args:
            index: the groups, each in [0, count).

        Returns:
            As many entries as the largest groups of that number have together, the last of them
            padding where the batch has fewer.
        """
        length = int(self.capacity.most[min(index.shape[0], self.count)])
        ends = jnp.cumsum(self.counts[index])
        place = jnp.arange(length)
        group = jnp.minimum(jnp.searchsorted(ends, place, side="right"), index.shape[0] - 1)
        within = place - (ends[group] - self.counts[index][group])
        there = place < ends[-1]
        entry = self.order[jnp.where(there, self.starts[index][group] + within, 0)]
        return Members(entry, group, there)


def group_sums(
    values: Float[Array, "length ..."], members: Members, count: int
) -> Float[Array, "count ..."]:
    """Sums over the entries of each group; zero for empty groups.

    Args:
        values: one value per entry; those of padding do not count, whatever they are.
        members: which group each entry is in.
        count: number of groups in the batch.
    """
    there = jnp.reshape(members.there, (-1,) + (1,) * (values.ndim - 1))
    kept = jnp.where(there, values, 0.0)
    if values.ndim == 2 and 1 < values.shape[1] <= _FEW_COLUMNS:
        # On CPU one scatter per column takes a quarter of the time of one for all.
        columns = [
            jax.ops.segment_sum(kept[:, i], members.group, num_segments=count)
            for i in range(values.shape[1])
        ]
        return jnp.stack(columns, axis=1)
    return jax.ops.segment_sum(kept, members.group, num_segments=count)
