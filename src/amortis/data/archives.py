"""NumPy archives of named arrays."""

import tokenize
import zipfile
import zlib
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from amortis._errors import DataError
from amortis.data.columns import Arrays
from amortis.data.files import FilePath, existing_file

_MEMBER = ".npy"

# What zipfile and NumPy raise when they read bytes that are not what they should be. RuntimeError
# is for encryption and unknown compression, TokenError for an array's header that does not parse.
_DAMAGE = (
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def npz_names(path: FilePath) -> list[str]:
    """List the arrays of an NPZ file without reading them.

    Args:
        path: Where the file is.

    Returns:
        Names in the order of the file.

    Raises:
        MissingFileError: Nothing is there.
        DataError: The file is not an archive of arrays.
    """
    with _opened(path) as archive:
        return [name.removesuffix(_MEMBER) for name in archive.namelist()]


def read_npz(path: FilePath, only: Collection[str] | None = None) -> Arrays:
    """Read the arrays of an NPZ file, as written by `numpy.savez` or `savez_compressed`.

    Types stay as they are stored; pickled objects are never loaded.

    Args:
        path: Where the file is.
        only: Names to read; the others are not looked at. All by default.

    Returns:
        Arrays by name, in native byte order.

    Raises:
        MissingFileError: Nothing is there.
        DataError: The file is not an archive of arrays, is damaged, or holds Python objects.
    """
    arrays: Arrays = {}
    with _opened(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(_MEMBER)
            if only is None or name in only:
                arrays[name] = _read_member(path, archive, member)
    return arrays


def _opened(path: FilePath) -> zipfile.ZipFile:
    found = existing_file(path)
    try:
        archive = zipfile.ZipFile(found)
    except _DAMAGE as error:
        raise DataError(
            f"'{path}' is not an NPZ archive, or is damaged; write it with numpy.savez"
        ) from error
    stray = next((name for name in archive.namelist() if not name.endswith(_MEMBER)), None)
    if stray is not None:
        archive.close()
        raise DataError(
            f"'{path}' holds {stray!r}, expected arrays only; write it with numpy.savez"
        )
    return archive


def _read_member(path: FilePath, archive: zipfile.ZipFile, member: str) -> npt.NDArray[np.generic]:
    name = member.removesuffix(_MEMBER)
    try:
        if _stored_type(archive, member).hasobject:
            raise DataError(
                f"'{path}', array '{name}': it holds Python objects, expected numbers; convert it "
                "to a numeric type before saving (rows of unequal lengths make no array)"
            )
        with archive.open(member) as stream:
            values: npt.NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGE as error:
        raise DataError(
            f"'{path}', array '{name}': its bytes are damaged; write or fetch the file again"
        ) from error
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _stored_type(archive: zipfile.ZipFile, member: str) -> np.dtype[np.generic]:
    with archive.open(member) as stream:
        if np.lib.format.read_magic(stream) == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)[2]
        # Version 3 has the layout of version 2; it only allows other letters in field names.
        return np.lib.format.read_array_header_2_0(stream)[2]
