"""A ZIP file of named bytes: written whole or not at all, and read with nothing taken on trust.

Members are stored, not compressed: parameters hardly compress, and what is stored cannot unfold
into more than the file holds. Nothing is ever extracted to a path.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

from amortis._require import shown
from amortis.data import FilePath, existing_file, replacing
from amortis.export.malformed import Malformed

MANIFEST, ARRAY = "manifest.json", ".npy"

_KNOWN = re.compile(r"manifest\.json|[a-z][a-z0-9_.]*\.npy", re.ASCII)
_ENCRYPTED = 0x1
_DATE = (1980, 1, 1, 0, 0, 0)  # the same fit gives the same bytes

# What zipfile raises when it reads bytes that are not what they should be. RuntimeError is for
# encryption and unknown compression.
_DAMAGE = (
    ValueError,
    EOFError,
    KeyError,
    OverflowError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def write_members(path: FilePath, members: Mapping[str, bytes]) -> None:
    """Write a file that takes its name only when all of it is written.

    Args:
        path: where it is to be.
        members: bytes by name.

    Raises:
        ArgumentError: the file cannot be written there.
    """
    with replacing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)


def read_members(path: FilePath) -> dict[str, bytes]:
    """Read all members, whose names and checksums are as `write_members` leaves them.

    Args:
        path: where the file is.

    Returns:
        Bytes by name.

    Raises:
        MissingFileError: nothing is there.
        Malformed: the file is none of ours, or damaged.
    """
    try:
        with existing_file(path).open("rb") as stream:
            length = stream.seek(0, 2)
            with zipfile.ZipFile(stream) as archive:
                found = archive.infolist()
                _refuse_foreign(found, length)
                return {member.filename: archive.read(member) for member in found}
    except _DAMAGE as error:
        raise Malformed("is cut short, damaged, or no archive of a fit") from error
    except OSError as error:
        raise Malformed(f"cannot be read: {error.strerror or error}") from error


def _refuse_foreign(found: list[zipfile.ZipInfo], length: int) -> None:
    """Refuse names, kinds and sizes of members that `write_members` never writes."""
    names = [member.filename for member in found]
    stray = next((name for name in names if not _KNOWN.fullmatch(name)), None)
    if stray is not None:
        raise Malformed(f"holds {shown(stray)}, which is no array of a fit")
    if MANIFEST not in names:
        raise Malformed(f"holds no {MANIFEST}, and so is no archive of a fit")
    if len(set(names)) < len(names):
        raise Malformed("holds two members of one name")
    for member in found:
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
            raise Malformed(f"holds {member.filename!r} compressed or encrypted")
    if sum(max(member.file_size, member.compress_size) for member in found) > length:
        raise Malformed(f"declares more than the {length} bytes that it has")
