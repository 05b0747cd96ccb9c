r"""Arrays as the bytes of NPY files, exact to the bit.

The header of an NPY file follows from dtype and shape alone, so it is written here and compared
whole when it is read: nothing in a file is ever parsed, and nothing can be unpickled. Types that
NPY does not know, such as bfloat16, are stored as integers of their size.

References:
    NumPy Enhancement Proposal 1, *A simple file format for NumPy arrays*, version 1.0.
"""

import math

import jax.numpy as jnp
import numpy as np

from amortis.export.malformed import Malformed

_MAGIC, _ALIGNMENT = b"\x93NUMPY\x01\x00", 64

DTYPES = {
    str(np.dtype(kind)): np.dtype(kind)
    for kind in (
        *(np.bool_, np.int8, np.int16, np.int32, np.int64),
        *(np.uint8, np.uint16, np.uint32, np.uint64),
        *(np.float16, np.float32, np.float64, jnp.bfloat16),
    )
}
"""Types of arrays that an archive may hold, by name."""


def to_bytes(array: np.ndarray) -> bytes:
    """The NPY file of an array, little-endian and in C order.

    Args:
        array: of one of `DTYPES`.
    """
    stored = _stored(DTYPES[array.dtype.name])
    values = np.asarray(array, order="C").view(stored.newbyteorder("="))
    return _header(stored, array.shape) + values.astype(stored).tobytes()


def from_bytes(data: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The array of an NPY file that is known to hold this type and shape.

    Args:
        data: the file.
        dtype: one of `DTYPES`.
        shape: of any sizes; they are compared with the number of bytes before use.

    Returns:
        The array, in native byte order.

    Raises:
        Malformed: the file is not the one of such an array.
    """
    stored = _stored(dtype)
    header = _header(stored, shape)
    if not data.startswith(header) or len(data) - len(header) != stored.itemsize * math.prod(shape):
        raise Malformed(f"holds an array that is not of type {dtype} and shape {shape}")
    values = np.frombuffer(data, stored, offset=len(header)).reshape(shape)
    return values.astype(stored.newbyteorder("=")).view(dtype)


def _stored(dtype: np.dtype) -> np.dtype:
    """The type of the numbers in the file."""
    known = dtype if dtype.kind in "biuf" else np.dtype(f"u{dtype.itemsize}")
    return known.newbyteorder("<")


def _header(stored: np.dtype, shape: tuple[int, ...]) -> bytes:
    text = repr({"descr": stored.str, "fortran_order": False, "shape": shape}).encode("ascii")
    used = len(_MAGIC) + 2 + len(text) + 1
    text += b" " * (-used % _ALIGNMENT) + b"\n"
    return _MAGIC + len(text).to_bytes(2, "little") + text
