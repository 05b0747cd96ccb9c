"""The one door to ArviZ and xarray, which are optional."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from amortis._errors import MissingDependencyError


@dataclasses.dataclass(frozen=True)
class Group:
    """Named arrays that stand together.

    Attributes:
        variables: the arrays by name.
        attrs: what is said of all of them; text and numbers.
        sampled: whether each has a first axis of draws.
    """

    variables: Mapping[str, np.ndarray]
    attrs: Mapping[str, Any]
    sampled: bool = True


def require_arviz() -> None:
    """Refuse to go on without ArviZ.

    Raises:
        MissingDependencyError: it is not installed.
    """
    _modules()


def as_tree(
    groups: Mapping[str, Group],
    dims: Mapping[str, tuple[str, ...]],
    coords: Mapping[str, np.ndarray],
    attrs: Mapping[str, Any],
) -> Any:
    """Make an `xarray.DataTree` by ArviZ's conventions, with one chain.

    Args:
        groups: the groups by name.
        dims: names of the axes of each variable, without those of draws.
        coords: labels along some axes; others are numbered.
        attrs: what is said of the whole.

    Returns:
        The tree; ArviZ and xarray are not typed here, as they may be missing.

    Raises:
        MissingDependencyError: ArviZ is not installed.
    """
    arviz_base, xarray = _modules()
    datasets = {
        name: arviz_base.dict_to_dataset(
            {n: v[None] if group.sampled else v for n, v in group.variables.items()},
            dims={n: list(dims[n]) for n in group.variables},
            coords={a: v for a, v in coords.items() if _has(group, dims, a)},
            sample_dims=["chain", "draw"] if group.sampled else [],
            attrs={**attrs, **group.attrs},
        )
        for name, group in groups.items()
    }
    tree = xarray.DataTree.from_dict(datasets)
    tree.attrs = dict(attrs)
    return tree


def _has(group: Group, dims: Mapping[str, tuple[str, ...]], axis: str) -> bool:
    return any(axis in dims[name] for name in group.variables)


def _modules() -> tuple[Any, Any]:
    try:
        import arviz_base
        import xarray
    except ImportError as error:
        raise MissingDependencyError(
            "to_arviz needs arviz-base, which is not installed; expected the arviz extra: run "
            'pip install "amortis[arviz]"'
        ) from error
    return arviz_base, xarray
