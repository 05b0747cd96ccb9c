"""What the NPZ file of a sparse matrix says of it beside its entries: layout and shape."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from amortis._errors import DataError

SHAPE, FORMAT = "shape", "format"
"""Arrays that such a file may have, as `scipy.sparse.save_npz` calls them."""


def require_compressed_rows(path: str, arrays: Mapping[str, Any]) -> None:
    """Refuse a matrix that says to lie otherwise: by columns, its entries would be the transpose's.

    Args:
        path: where the file is.
        arrays: arrays of the file by name, with `FORMAT` if it has that.

    Raises:
        DataError: the format is not that of compressed rows.
    """
    layout = np.asarray(arrays.get(FORMAT, np.asarray(b"csr"))).item()
    if layout not in (b"csr", "csr"):
        raise DataError(
            f"'{path}' holds a sparse matrix in the format {layout!r}; expected compressed rows: "
            f"write it with scipy.sparse.save_npz(path, x.tocsr())"
        )


def stored_columns(path: str, arrays: Mapping[str, Any], rows: int) -> int | None:
    """Read the number of columns of a matrix.

    Args:
        path: where the file is.
        arrays: arrays of the file by name, with `SHAPE` if it has that.
        rows: number of rows that its entries have.

    Returns:
        The second number of the shape; None where there is no shape.

    Raises:
        DataError: the shape is none, or of another number of rows.
    """
    if SHAPE not in arrays:
        return None
    shape = np.asarray(arrays[SHAPE])
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or shape[0] != rows or shape[1] < 1:
        raise DataError(
            f"'{path}', array 'shape': got {shape.tolist()}; expected [{rows}, number of columns], "
            f"as indptr has {rows} rows: write the shape of the matrix"
        )
    return int(shape[1])
