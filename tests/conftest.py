"""What holds for every test: strict dtypes, checked shapes and types, repeatable examples."""

import os
import sys
from collections.abc import Iterator

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest
from hypothesis import settings
from jaxtyping import Array, Key, install_import_hook

from tests.slow_list import listed_tests

if "amortis" in sys.modules:  # a module imported before the hook would go unchecked, silently
    raise RuntimeError("amortis was imported before tests/conftest.py could check its annotations")
install_import_hook("amortis", "beartype.beartype")

jax.config.update("jax_numpy_dtype_promotion", "strict")

settings.register_profile("amortis", deadline=None, derandomize=True, database=None)
settings.load_profile("amortis")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what took long when it was measured, before marks are selected by."""
    listed = listed_tests()
    for item in items:
        if item.nodeid in listed:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_functions() -> Iterator[None]:
    """Compiled functions of one file are of no use to the next, and would fill the memory."""
    yield
    jax.clear_caches()


@pytest.fixture
def key() -> Key[Array, ""]:
    """A random key, the same in every run."""
    return jax.random.key(20240731)


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit floats inside one test; the arrays have to be made inside it too."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def standard_promotion() -> Iterator[None]:
    """JAX's usual dtype promotion, where code that is not ours mixes dtypes.

    Known cases: sampling NumPyro's discrete distributions, and models that write `Normal(0, 1)`.
    """
    with jax.numpy_dtype_promotion("standard"):
        yield
