"""A manifest and arrays in one file, versioned, with a checksum for each."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from amortis._version import __version__
from amortis.data import FilePath
from amortis.export.array_bytes import DTYPES, from_bytes, to_bytes
from amortis.export.malformed import Malformed
from amortis.export.members import ARRAY, MANIFEST, read_members, write_members
from amortis.export.plain_values import entry, of_kind, sizes

FORMAT, VERSION = "amortis fit", 1
"""What the manifest opens with. The version counts up when older readers would misread the file."""

_LONGEST_MANIFEST = 2**26


def write_container(
    path: FilePath, contents: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write plain values and arrays.

    Args:
        path: where the file is to be.
        contents: plain values, as JSON knows them.
        arrays: arrays by name.

    Raises:
        ArgumentError: the file cannot be written there.
    """
    members = {name + ARRAY: to_bytes(array) for name, array in arrays.items()}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "amortis": __version__,
        "fit": contents,
        "arrays": {
            name: {
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "sha256": hashlib.sha256(members[name + ARRAY]).hexdigest(),
            }
            for name, array in arrays.items()
        },
    }
    manifest["sha256"] = _digest(manifest)
    text = json.dumps(manifest, indent=1, allow_nan=False).encode("ascii")
    write_members(path, {MANIFEST: text, **members})


def read_container(path: FilePath) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_container` has written.

    Args:
        path: where the file is.

    Returns:
        The plain values, and the arrays by name.

    Raises:
        MissingFileError: nothing is there.
        Malformed: the file is none of ours, damaged, edited, or of a later version.
    """
    members = read_members(path)
    manifest = _manifest(members.pop(MANIFEST))
    table: dict[str, Any] = entry(manifest, "arrays", dict)
    if {name + ARRAY for name in table} != set(members):
        raise Malformed("holds other arrays than its manifest lists")
    arrays = {name: _array(table[name], name, members[name + ARRAY]) for name in table}
    return entry(manifest, "fit", dict), arrays


def _manifest(text: bytes) -> dict[str, Any]:
    if len(text) > _LONGEST_MANIFEST:
        raise Malformed(f"has a manifest of {len(text)} bytes")
    try:
        manifest = of_kind("manifest", json.loads(text), dict)
    except (ValueError, RecursionError) as error:
        raise Malformed("has a manifest that is not JSON") from error
    if manifest.get("format") != FORMAT:
        raise Malformed("is no archive of a fit")
    version = entry(manifest, "version", int)
    if version > VERSION:
        raise Malformed(
            f"has format {version}, of a later amortis",
            f"format {VERSION} or earlier: upgrade amortis to the version that wrote it",
        )
    if version < 1 or manifest.get("sha256") != _digest(manifest):
        raise Malformed("has a manifest that was edited or damaged")
    return manifest


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of all that a manifest says, whatever its layout."""
    said = {name: value for name, value in manifest.items() if name != "sha256"}
    try:
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise Malformed("has a manifest that is nested too deep") from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _array(listed: object, name: str, data: bytes) -> np.ndarray:
    dtype = DTYPES.get(entry(listed, "dtype", str))
    shape = sizes("shape", entry(listed, "shape", list))
    if dtype is None:
        raise Malformed(f"holds {name!r} of a type that no archive of a fit has")
    if hashlib.sha256(data).hexdigest() != entry(listed, "sha256", str):
        raise Malformed(f"holds {name!r} with other bytes than were written")
    return from_bytes(data, dtype, shape)
