"""Which data a fit was made with, as checksums: they recognize the data, and do not hold them."""

import hashlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amortis._errors import DataError
from amortis.export.plain_values import entry
from amortis.model import LatentModel, given_data


def fingerprint(model: LatentModel) -> dict[str, Any]:
    """SHA-256 of each array of a model's data, and of all that was passed besides.

    Args:
        model: bound to the data.

    Returns:
        Plain values: type, shape and checksum of each array by name, and one checksum of the
        numbers, texts and truth values among the other arguments.
    """
    given = given_data(model)
    said = [
        [name, type(value).__name__, repr(value) if isinstance(value, _SIMPLE) else ""]
        for name, value in sorted(given.plain.items())
    ]
    return {
        "arrays": {name: _of_array(array) for name, array in given.arrays.items()},
        "others": hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest(),
    }


def require_same_data(known: object, model: LatentModel) -> None:
    """Refuse a model that is bound to other data than a fit.

    Args:
        known: the fit's `fingerprint`.
        model: bound to the data that were passed.

    Raises:
        DataError: names, types, shapes or values differ.
        Malformed: that is no fingerprint.
    """
    found = fingerprint(model)
    old: dict[str, Any] = entry(known, "arrays", dict)
    new: dict[str, Any] = found["arrays"]
    if set(old) != set(new):
        raise _other(f"are {', '.join(new)}", f"{', '.join(old)}")
    for name, array in new.items():
        for what in ("shape", "dtype"):
            if array[what] != old[name].get(what):
                raise _other(
                    f"have {what} {_shown(array[what])} in {name!r}", _shown(old[name].get(what))
                )
        if array["sha256"] != old[name].get("sha256"):
            raise _other(f"have other values in {name!r}", "the same ones")
    if entry(known, "others", str) != found["others"]:
        raise _other("come with other values of the arguments that are no arrays", "the same ones")


_SIMPLE = (bool, int, float, complex, str, bytes, type(None))
"""Kinds of arguments whose value has the same text in every run."""


def _of_array(array: Any) -> dict[str, Any]:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    values = np.asarray(array)
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return {
        "dtype": values.dtype.name,
        "shape": list(values.shape),
        "sha256": hashlib.sha256(little.tobytes()).hexdigest(),
    }


def _shown(value: Any) -> str:
    return str(tuple(value)) if isinstance(value, list) else str(value)


def _other(came: str, expected: str) -> DataError:
    return DataError(
        f"the data {came}, while the fit was made with {expected}; expected the fit's own data: "
        f"pass those, or none, and the new ones to amortis.infer"
    )
