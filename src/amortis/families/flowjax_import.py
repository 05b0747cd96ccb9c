"""The one door to FlowJAX, which is optional."""

import contextlib
import functools
import importlib.metadata
from collections.abc import Generator
from typing import Any, NamedTuple

import jax

from amortis._errors import MissingDependencyError

_OLDEST = (19, 1, 2)


class FlowJax(NamedTuple):
    """What is used of FlowJAX; its modules are not typed here, as they may be missing.

    Attributes:
        bijections: the module `flowjax.bijections`.
        parameterize: `paramax.Parameterize`, a function of trained arrays in place of an array.
    """

    bijections: Any
    parameterize: Any


@functools.cache
def flowjax_modules() -> FlowJax:
    """Import FlowJAX, which takes a second and is therefore left to who needs it.

    Raises:
        MissingDependencyError: FlowJAX is not installed, or too old.
    """
    try:
        import flowjax.bijections
        import paramax
    except ImportError as error:
        raise MissingDependencyError(
            "Flow needs FlowJAX, which is not installed; expected the flows extra: run "
            'pip install "amortis[flows]"'
        ) from error
    # Older ones refuse traced arrays on Python 3.11, and have NaN as gradients of splines outside.
    version = importlib.metadata.version("flowjax")
    if tuple(int(part) for part in version.split(".")[:3] if part.isdecimal()) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise MissingDependencyError(
            f"Flow needs FlowJAX {oldest}, and {version} is installed; expected that or a later "
            'one: run pip install --upgrade "amortis[flows]"'
        )
    return FlowJax(flowjax.bijections, paramax.Parameterize)


@contextlib.contextmanager
def as_flowjax_computes() -> Generator[None]:
    """JAX's usual dtype promotion, whatever the caller's: FlowJAX adds integers to floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield
