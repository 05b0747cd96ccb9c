"""The IDX format, in which the MNIST images and labels are published.

Two zero bytes, a byte for the type, a byte for the number of axes, one big-endian 32-bit length
per axis, then the values in C order, big-endian.

References:
    Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998.
"""

import math
import struct

import numpy as np
import numpy.typing as npt

from amortis._errors import DataError
from amortis.data.files import FilePath, open_decompressed

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: FilePath) -> npt.NDArray[np.generic]:
    """Read the one array of an IDX file, plain or compressed by gzip.

    Args:
        path: Where the file is.

    Returns:
        The array in the type that the file names (pixels stay unsigned bytes), native byte order.

    Raises:
        MissingFileError: Nothing is there.
        DataError: The file is not IDX, or holds fewer or more bytes than its header promises.
    """
    with open_decompressed(path) as stream:
        magic = stream.read(4)
        if len(magic) < 4:
            raise _cut_short(path, "header", 4, len(magic))
        if magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
            known = ", ".join(f"{code:02x}" for code in _TYPES)
            raise DataError(
                f"'{path}' starts with the bytes {magic.hex(' ')}, expected an IDX file: 00 00, a "
                f"type among {known}, and at least one axis; check that it is the right file"
            )
        axes = magic[3]
        header = stream.read(4 * axes)
        if len(header) < 4 * axes:
            raise _cut_short(path, "header", 4 + 4 * axes, 4 + len(header))
        shape: tuple[int, ...] = struct.unpack(f">{axes}I", header)
        body = stream.read()
    dtype = np.dtype(_TYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    if len(body) < expected:
        raise _cut_short(path, f"values of shape {shape}", expected, len(body))
    if len(body) > expected:
        raise DataError(
            f"'{path}' has {len(body)} bytes of values, expected {expected} for shape {shape}; "
            "its header does not belong to its values: fetch or write it again"
        )
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _cut_short(path: FilePath, part: str, expected: int, got: int) -> DataError:
    return DataError(
        f"'{path}' is cut short: its {part} has {got} bytes, expected {expected}; fetch it again"
    )
