"""From the columns of a table to arrays: which belong together, and in which precision."""

import re
from collections.abc import Collection, Iterable, Mapping

import jax
import numpy as np
import numpy.typing as npt

from amortis._errors import DataError
from amortis.data.files import FilePath

Arrays = dict[str, npt.NDArray[np.generic]]
"""Arrays by name."""

_MEMBER = re.compile(r"(?P<name>.+)\.(?P<index>0|[1-9][0-9]*)")


def group_columns(names: Iterable[str], source: FilePath) -> dict[str, tuple[str, ...]]:
    """Say which columns make one array.

    Columns `NAME.0`, `NAME.1`, ..., `NAME.D-1`, in any order, make the array `NAME` of shape
    (rows, D). Any other column makes an array of its own name; so does `NAME.1` where there is no
    `NAME.0`.

    Args:
        names: Column names as the file has them.
        source: The file, for messages.

    Returns:
        For each array the columns that it is made of, in order of first appearance.

    Raises:
        DataError: A name comes twice, a group has a gap, or a group has the name of a column.
    """
    names = list(names)
    present = set(names)
    if len(present) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise DataError(f"'{source}' has two columns named '{twice}'; rename one of them")
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        member = _MEMBER.fullmatch(name)
        if member is None or f"{member['name']}.0" not in present:
            groups[name] = {0: name}
            continue
        if member["name"] in present:
            raise DataError(
                f"'{source}' has a column '{member['name']}' and also '{name}', which would be "
                f"stacked into '{member['name']}'; rename one of them"
            )
        groups.setdefault(member["name"], {})[int(member["index"])] = name
    for group, members in groups.items():
        gap = next((i for i in range(len(members)) if i not in members), None)
        if gap is not None:
            raise DataError(
                f"'{source}' has columns '{group}.0' to '{group}.{max(members)}' without "
                f"'{group}.{gap}'; add it, or number the columns from 0 without gaps"
            )
    return {group: tuple(members[i] for i in sorted(members)) for group, members in groups.items()}


def chosen(
    groups: Mapping[str, tuple[str, ...]], only: Collection[str] | None
) -> dict[str, tuple[str, ...]]:
    """Keep the arrays named in `only`, or all of them when it is None."""
    return {name: members for name, members in groups.items() if only is None or name in only}


def assemble(
    groups: Mapping[str, tuple[str, ...]],
    columns: Mapping[str, npt.NDArray[np.generic]],
    source: FilePath,
) -> Arrays:
    """Stack each group of columns into one array, narrowed as `narrow` says.

    Args:
        groups: For each array the columns that it is made of.
        columns: One array per column, all with the same number of rows.
        source: The file, for messages.

    Returns:
        Arrays of shape (rows, ...) for lone columns and (rows, D, ...) for D stacked ones.

    Raises:
        DataError: The columns of one group hold rows of different shapes.
    """
    arrays: Arrays = {}
    for name, members in groups.items():
        parts = [columns[member] for member in members]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(str(part.shape[1:]) for part in parts)
            raise DataError(
                f"'{source}' has columns '{name}.0' to '{name}.{len(parts) - 1}' whose rows have "
                f"shapes {shapes}, expected one shape; rename those that do not belong together"
            )
        alone = members == (name,)
        arrays[name] = narrow(parts[0] if alone else np.stack(parts, axis=1))
    return arrays


def narrow(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Give the numbers of a table the type that a model computes with.

    Integers become int32. Reals become float32, or float64 where the user has switched JAX to 64
    bit. A column with a finite value beyond the range of that type keeps its 64 bits: nothing
    wraps around or turns into infinity here, and `match_arguments` refuses such a column when an
    argument needs it. Booleans stay.

    Args:
        values: The column, or columns stacked.

    Returns:
        The same values.
    """
    if values.dtype.kind == "f":
        target = jax.dtypes.canonicalize_dtype(np.float64)
    elif values.dtype.kind in "iu":
        target = np.dtype(np.int32)
    else:
        return values
    return values.astype(target) if in_range(values, target) else values


def in_range(values: npt.NDArray[np.generic], target: np.dtype[np.generic]) -> bool:
    """Whether every finite value lies between the extremes of a numeric type."""
    if values.size == 0 or values.dtype == target or target.kind == "b":
        return True
    if target.kind in "iu":
        lowest, highest = np.iinfo(target.str).min, np.iinfo(target.str).max
    else:
        lowest, highest = float(np.finfo(target.str).min), float(np.finfo(target.str).max)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
        if values.size == 0:
            return True
    # As Python numbers: NumPy would compare in the narrower of the two types.
    return lowest <= values.min().item() and values.max().item() <= highest
