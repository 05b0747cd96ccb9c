import numpy as np
import pytest
from scipy import sparse

from amortis import ArgumentError, DataError, SparseCounts, read_counts


def random_counts(rows: int = 7, columns: int = 5) -> np.ndarray:
    dense = np.random.default_rng(0).poisson(0.6, (rows, columns))
    dense[:, 0] += 1  # no row is empty
    return dense


def of_dense(dense: np.ndarray) -> SparseCounts:
    matrix = sparse.csr_matrix(dense)
    return SparseCounts(matrix.indptr, matrix.indices, matrix.data, dense.shape[1])


def test_blocks_are_the_rows_of_the_dense_matrix() -> None:
    dense = random_counts()
    counts = of_dense(dense)
    blocks = list(counts.blocks(3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(blocks), dense)
    assert blocks[0].dtype == np.float32
    np.testing.assert_array_equal(counts.totals, dense.sum(axis=1))
    np.testing.assert_array_equal(counts.column_totals, dense.sum(axis=0))
    np.testing.assert_array_equal(counts.rows(5, 100), dense[5:])
    assert counts.rows(3, 3).shape == (0, 5)


def test_it_shows_its_size_and_not_its_numbers() -> None:
    counts = SparseCounts(np.array([0, 2, 3]), np.array([0, 2, 1]), np.array([4, 1, 2]), 3)
    assert repr(counts) == "SparseCounts(2 rows, 3 columns, 3 entries)"


def test_a_column_named_twice_has_the_sum() -> None:
    counts = SparseCounts(np.array([0, 2]), np.array([1, 1]), np.array([2, 3]), 2)
    np.testing.assert_array_equal(counts.rows(0, 1), [[0, 5]])


def test_files_are_read_as_they_were_written(tmp_path) -> None:
    matrix = sparse.csr_matrix(random_counts())
    path = tmp_path / "train.npz"
    np.savez(path, indptr=matrix.indptr, indices=matrix.indices, counts=matrix.data)
    np.testing.assert_array_equal(read_counts(path, 5).rows(0, 7), matrix.toarray())
    with pytest.raises(DataError, match=r"train\.npz'.* column 4, outside the vocabulary"):
        read_counts(path, 4)
    sparse.save_npz(path, matrix)
    np.testing.assert_array_equal(read_counts(path, 5).rows(0, 7), matrix.toarray())
    with pytest.raises(DataError, match=r"a matrix of 5 columns; expected 9.*pass columns=5"):
        read_counts(path, 9)
    sparse.save_npz(path, matrix.tocsc())
    with pytest.raises(DataError, match=r"in the format b'csc'; .*save_npz\(path, x\.tocsr"):
        read_counts(path, 5)
    sparse.save_npz(path, matrix.tocoo())
    with pytest.raises(DataError, match=r"in the format b'coo'; expected compressed rows"):
        read_counts(path, 5)
    np.savez(path, indptr=matrix.indptr, indices=matrix.indices)
    with pytest.raises(DataError, match="no array 'counts'; expected indptr, indices, counts"):
        read_counts(path, 5)
    np.savez(path, indptr=matrix.indptr, indices=matrix.indices * 0.5, counts=matrix.data)
    with pytest.raises(DataError, match="array 'indices': got float64"):
        read_counts(path, 5)


@pytest.mark.parametrize(
    ("indptr", "indices", "counts", "message"),
    [
        ([0, 1, 1, 2], [0, 1], [1, 1], r"row 1 of the counts is empty \(1 such in all\)"),
        ([0, 1, 2], [0, 1], [1, 0], "row 1 of the counts is empty"),
        ([0, 1, 2], [0, 3], [1, 1], "row 1 .* column 3, outside the vocabulary; expected .* 0 to"),
        ([0, 1, 2], [-1, 0], [1, 1], "row 0 .* column -1, outside the vocabulary"),
        ([0, 1, 2], [0, 1], [1, -2], "row 1 .* has the count -2 in column 1; expected a whole"),
        ([0, 1, 2], [0, 1], [1.5, 1.0], "row 0 .* has the count 1.5 in column 0"),
        ([0, 1, 2], [0, 1], [1.0, np.nan], "row 1 .* has the count nan"),
        ([0, 1, 2], [0, 1], [1.0, np.inf], "row 1 .* has the count inf"),
        ([0], [], [], "no rows"),
        ([0, 1, 2], [0, 1], [1], "1 counts for 2 columns"),
        ([0, 2, 1], [0, 1], [1, 1], "expected indptr to grow from 0 to 2"),
        ([0, 1], [0, 1], [1, 1], "expected indptr to grow from 0 to 2"),
    ],
)
def test_bad_counts_are_refused_in_one_line(indptr, indices, counts, message) -> None:
    given = (np.array(indptr, int), np.array(indices, int), np.array(counts))
    with pytest.raises(DataError, match=message) as raised:
        SparseCounts(*given, columns=3)
    assert "\n" not in str(raised.value)
    assert "expected" in str(raised.value)


def test_sizes_are_at_least_one() -> None:
    counts = of_dense(random_counts())
    with pytest.raises(ArgumentError, match="blocks of 0 rows"):
        counts.blocks(0)
    with pytest.raises(ArgumentError, match="columns is True; expected a whole number"):
        SparseCounts(np.array([0, 1]), np.array([0]), np.array([1]), True)
    with pytest.raises(ArgumentError, match="columns is 0; expected at least 1: pass the vocab"):
        SparseCounts(counts.indptr, counts.indices, counts.counts, 0)


def test_unsigned_bounds_are_read_and_checked_as_signed_ones_are() -> None:
    counts = SparseCounts(*(np.array(a, np.uint64) for a in ([0, 2, 3], [0, 2, 1], [4, 1, 2])), 3)
    np.testing.assert_array_equal(counts.rows(0, 2), [[4, 0, 1], [0, 2, 0]])
    np.testing.assert_array_equal(counts.totals, [5, 2])
    np.testing.assert_array_equal(counts.column_totals, [4, 2, 1])
    with pytest.raises(DataError, match="expected indptr to grow from 0 to 2"):
        SparseCounts(np.array([0, 3, 1, 2], np.uint64), np.array([0, 1]), np.array([1, 1]), 3)
