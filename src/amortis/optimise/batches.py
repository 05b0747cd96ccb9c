"""Minibatches without replacement: every row once per epoch, in a new order each time."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Int

from amortis._types import RandomKey


@dataclasses.dataclass(frozen=True)
class Epochs:
    """Shuffled passes over the rows, cut into batches; a frozen position in an endless sequence.

    Going through the rows without replacement takes the differences between rows out of the
    average loss of an epoch, which is what the stopping rule looks at. Rows left over at the end of
    an epoch (fewer than a batch) sit that epoch out.

    Attributes:
        size: number of rows N.
        batch: rows per batch B, at most N.
        seed: seeds the order of every epoch together with its number.
        position: batches handed out so far.
    """

    size: int
    batch: int
    seed: int
    position: int = 0

    @property
    def per_epoch(self) -> int:
        """Batches per epoch."""
        return self.size // self.batch

    def take(self, count: int) -> tuple[Int[np.ndarray, "count batch"], "Epochs"]:
        """The next `count` batches of row positions, and the sequence after them."""
        batches: list[np.ndarray] = []
        position = self.position
        while len(batches) < count:
            epoch, start = divmod(position, self.per_epoch)
            order = np.random.default_rng((self.seed, epoch)).permutation(self.size)
            stop = min(start + count - len(batches), self.per_epoch)
            whole = order[: self.per_epoch * self.batch].reshape(self.per_epoch, self.batch)
            batches.extend(whole[start:stop])
            position += stop - start
        index = np.stack(batches).astype(np.int32)
        return index, dataclasses.replace(self, position=position)


def seed_of(key: RandomKey) -> int:
    """An integer seed for NumPy from a random key."""
    return int(np.asarray(jax.random.bits(key, (), "uint32")))
