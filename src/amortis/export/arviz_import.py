"""The one door to ArviZ and xarray, which are optional."""

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import numpy as np

from amortis._errors import MissingDependencyError


@dataclasses.dataclass(frozen=True)
class Group:
    """Named arrays that stand together.

    Attributes:
        variables: the arrays by name.
        dims: for each of them, the names of its axes, without those of draws.
        attrs: what is said of all of them; text and numbers.
        sampled: whether each has a first axis of draws.
    """

    variables: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[str, ...]]
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    sampled: bool = True


def require_arviz() -> None:
    """Refuse to go on without ArviZ.

    Raises:
        MissingDependencyError: it is not installed.
    """
    _modules()


def as_tree(
    groups: Mapping[str, Group], coords: Mapping[str, np.ndarray], attrs: Mapping[str, Any]
) -> Any:
    """Make an `xarray.DataTree` by ArviZ's conventions, with one chain.

    Args:
        groups: the groups by name.
        coords: labels along some axes; others are numbered.
        attrs: what is said of the whole; each group carries name and version of this library.

    Returns:
        The tree; ArviZ and xarray are not typed here, as they may be missing.

    Raises:
        MissingDependencyError: ArviZ is not installed.
    """
    arviz_base, xarray = _modules()
    library = {
        "inference_library": "amortis",
        "inference_library_version": importlib.metadata.version("amortis"),
    }
    tree = xarray.DataTree.from_dict(
        {name: _dataset(arviz_base, group, coords, library) for name, group in groups.items()}
    )
    tree.attrs = arviz_base.make_attrs({**library, **attrs})
    return tree


def plain(name: str) -> str:
    """A name that a tree can hold: `numpyro.handlers.scope` makes names such as `a/b`."""
    return name.replace("/", ".")


def _dataset(
    arviz_base: Any, group: Group, coords: Mapping[str, np.ndarray], library: Mapping[str, str]
) -> Any:
    variables = {plain(name): value for name, value in group.variables.items()}
    dims = {plain(name): list(group.dims[name]) for name in group.variables}
    present = {axis for axes in dims.values() for axis in axes}
    return arviz_base.dict_to_dataset(
        {n: v[None] if group.sampled else v for n, v in variables.items()},
        dims=dims,
        coords={axis: labels for axis, labels in coords.items() if axis in present},
        sample_dims=["chain", "draw"] if group.sampled else [],
        attrs={**library, **group.attrs},
    )


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
