"""A small model for all tests of this room, in double precision."""

import jax
import pytest

from tests.contracts import problem


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def bound(double):
    return problem.bound()
