"""NPZ files with matrices in compressed rows."""

import numpy as np
import pytest

from amortis._errors import DataError
from amortis.data import UNNAMED, array_names, read_arrays

DENSE = np.array([[4.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0]], np.float32)
INDPTR, INDICES, VALUES = np.array([0, 2, 3]), np.array([0, 2, 1]), np.array([4, 1, 2])


def test_counts_are_one_dense_array_beside_the_others(tmp_path) -> None:
    path = tmp_path / "rows.npz"
    year = np.array([1990.0, 1991.0])
    np.savez(path, indptr=INDPTR, indices=INDICES, counts=VALUES, year=year)
    assert array_names(path) == ["counts", "year"]
    read = read_arrays(path)
    np.testing.assert_array_equal(read["counts"], DENSE[:, :3])  # no shape: as many as occur
    np.testing.assert_array_equal(read["year"], year)
    assert set(read_arrays(path, only=["year"])) == {"year"}
    np.savez(path, indptr=INDPTR, indices=INDICES, counts=VALUES, shape=np.array(DENSE.shape))
    np.testing.assert_array_equal(read_arrays(path)["counts"], DENSE)


def test_what_scipy_writes_is_an_array_without_a_name(tmp_path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    path = tmp_path / "rows.npz"
    sparse.save_npz(path, sparse.csr_matrix(0.5 * DENSE))
    assert array_names(path) == [UNNAMED]
    np.testing.assert_array_equal(read_arrays(path)[UNNAMED], 0.5 * DENSE)
    sparse.save_npz(path, sparse.csc_matrix(DENSE))
    with pytest.raises(DataError, match=r"in the format b'csc'; expected compressed rows"):
        read_arrays(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"indptr": INDPTR * 1.0}, r"array 'indptr': got float64 of shape \(3,\); expected"),
        ({"counts": np.array([4, 1, -2])}, r"row 1 of .* has the count -2 in column 1"),
        ({"counts": np.array([4, 1, 0])}, r"row 1 of .* is empty"),
        ({"shape": np.array([2, 2])}, r"column 2, outside the vocabulary"),
        ({"shape": np.array([4])}, r"'shape': got \[4\]; expected \[2, number of columns\]"),
        ({"shape": np.array([3, 4])}, r"'shape': got \[3, 4\]; expected \[2, number"),
        ({"shape": np.array([2, 2**31])}, r"2 x 2147483648; expected at most 2147483648 numbers"),
    ],
)
def test_bad_matrices_are_refused_in_one_line(arrays, message, tmp_path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, **{"indptr": INDPTR, "indices": INDICES, "counts": VALUES, **arrays})
    with pytest.raises(DataError, match=message) as caught:
        read_arrays(path)
    assert "\n" not in str(caught.value)


def test_a_matrix_whose_parts_do_not_fit_is_refused(tmp_path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, indptr=INDPTR, indices=INDICES, data=np.ones(2), shape=np.array([2, 4]))
    with pytest.raises(DataError, match="has 2 values, 3 columns and rows up to entry 3"):
        read_arrays(path)


def test_unsigned_places_are_read_and_checked_as_signed_ones_are(tmp_path) -> None:
    path = tmp_path / "unsigned.npz"
    parts = {"indices": np.array([0, 2, 1], np.uint64), "data": np.array([1.5, 2.0, 3.0])}
    np.savez(path, indptr=np.array([0, 2, 3], np.uint64), **parts)
    [dense] = read_arrays(path).values()
    np.testing.assert_array_equal(dense, [[1.5, 0.0, 2.0], [0.0, 3.0, 0.0]])
    np.savez(path, indptr=np.array([0, 9, 1, 3], np.uint64), **parts)
    with pytest.raises(DataError, match="which is no matrix of 3 x 3"):
        read_arrays(path)
