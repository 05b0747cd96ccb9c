import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amortis.optimise.batches import Epochs, seed_of

sizes = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@given(sizes, st.integers(0, 99), st.integers(1, 3))
def test_every_row_comes_once_per_epoch(size_and_batch, seed, epochs):
    size, batch = size_and_batch
    sequence = Epochs(size, batch, seed)
    for _ in range(epochs):
        index, sequence = sequence.take(sequence.per_epoch)
        assert index.shape == (size // batch, batch)
        rows = index.ravel()
        assert len(set(rows)) == len(rows) == (size // batch) * batch
        assert set(rows) <= set(range(size))
        if size % batch == 0:
            assert set(rows) == set(range(size))


@given(sizes, st.integers(0, 99), st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_any_cut_of_the_sequence_is_the_same_sequence(size_and_batch, seed, counts):
    size, batch = size_and_batch
    pieces, sequence = [], Epochs(size, batch, seed)
    for count in counts:
        index, sequence = sequence.take(count)
        pieces.append(index)
    whole, end = Epochs(size, batch, seed).take(sum(counts))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert end == sequence


def test_epochs_and_seeds_differ_in_their_order():
    first, rest = Epochs(50, 10, seed=1).take(5)
    second, _ = rest.take(5)
    other, _ = Epochs(50, 10, seed=2).take(5)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_rows_left_over_change_from_epoch_to_epoch():
    index, _ = Epochs(7, 3, seed=0).take(2 * 30)
    left_out = [set(range(7)) - set(e.ravel()) for e in np.split(index, 30)]
    assert all(len(rows) == 1 for rows in left_out)
    assert set.union(*left_out) == set(range(7))  # fails with probability 7 (6/7)^30 = 0.07 by seed


def test_seeds_come_from_keys():
    assert seed_of(jax.random.key(0)) == seed_of(jax.random.key(0))
    assert len({seed_of(jax.random.key(i)) for i in range(20)}) == 20
