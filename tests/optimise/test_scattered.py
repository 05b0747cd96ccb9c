import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amortis.optimise.batches import Epochs
from amortis.optimise.scattered import scattered


@given(st.integers(1, 3000), st.integers(0, 99))
def test_it_is_a_permutation(size, seed):
    entries = scattered(np.arange(size), size, (seed,))
    np.testing.assert_array_equal(np.sort(entries), np.arange(size))


@given(st.integers(1, 2**31), st.integers(0, 99))
def test_a_part_of_it_is_that_part_of_the_whole(size, seed):
    positions = np.unique(np.linspace(0, size - 1, 50).astype(np.int64))
    entries = scattered(positions, size, (seed,))
    assert len(set(entries)) == len(positions)
    assert entries.min() >= 0
    assert entries.max() < size
    few = scattered(positions[::3], size, (seed,))
    np.testing.assert_array_equal(few, entries[::3])


@pytest.mark.parametrize("size", [200_000, 600_000])
def test_entries_are_as_spread_as_those_of_a_random_order(size):
    """Pairs of neighbors in 8 × 8 cells, and positions by entries: chi squared, 49 degrees each.

    The bound of 103 is passed with probability 1e-5 by a random order, four times over.
    """
    entries = scattered(np.arange(size), size, (1, 2)).astype(np.int64) * 8 // size
    neighbors = np.bincount(entries[:-1] * 8 + entries[1:], minlength=64)
    places = np.bincount(np.arange(size) * 8 // size * 8 + entries, minlength=64)
    for counts in (neighbors, places):
        expected = counts.sum() / 64
        assert np.sum(np.square(counts - expected)) / expected < 103.0


def test_batches_average_as_those_without_replacement():
    """Means of sorted rows: variance (N² - 1)/12B · (1 - B/N); 4000 batches know it to 2.2 %."""
    size, batch = 200_000, 1000
    orders = [scattered(np.arange(size), size, (seed,)) for seed in range(20)]
    means = np.stack(orders).astype(float).reshape(-1, batch).mean(axis=1)
    expected = (size**2 - 1) / 12 / batch * (1 - batch / size)
    assert abs(np.mean(np.square(means - (size - 1) / 2)) / expected - 1) < 0.1


def test_epochs_of_many_rows_hold_every_row_once():
    size, batch = 2**17 + 1, 2**13
    epochs, pieces = Epochs(size, batch, seed=3), []
    for _ in range(epochs.per_epoch):
        index, epochs = epochs.take(1)
        pieces.append(index.ravel())
    rows = np.concatenate(pieces)
    assert rows.dtype == np.int32
    assert len(rows) == len(np.unique(rows)) == epochs.per_epoch * batch
    again, _ = epochs.take(1)
    assert not np.array_equal(again.ravel(), pieces[0])
