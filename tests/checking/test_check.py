import gc

import numpy as np
import pytest

import amortis
from amortis import ArgumentError, check, from_numpyro
from amortis.checking.check import _KNOWN
from tests.structure.models import CASES


def test_a_bound_model_is_looked_into_once_and_then_forgotten():
    x = np.linspace(-1.0, 1.0, 12).astype(np.float32)
    bound = from_numpyro(CASES["linear"].model, x)
    before = len(_KNOWN)
    assert check(bound) is check(bound)
    assert len(_KNOWN) == before + 1
    del bound
    gc.collect()
    assert len(_KNOWN) == before


def test_a_bound_model_and_data_are_refused_together():
    x = np.linspace(-1.0, 1.0, 12).astype(np.float32)
    bound = from_numpyro(CASES["linear"].model, x)
    with pytest.raises(ArgumentError, match="a bound model together with data"):
        amortis.check(bound, x)
