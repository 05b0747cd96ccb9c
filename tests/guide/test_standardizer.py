"""Inputs in units of their own spread, and rows that are far longer than others."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amortis import MLP, GradientAscent, Iterative, Network, Polynomial, Windowed
from amortis.guide import Standardizer
from amortis.inference_functions import Parts

COLUMNS = 40


def documents(longest: int) -> np.ndarray:
    """Counts of rare words in 200 documents, the first of which has `longest` different ones."""
    generator = np.random.default_rng(0)
    counts = (generator.random((200, COLUMNS)) < 0.1) * 1.0
    counts[0, :longest] = 30.0
    return counts.astype(np.float32)


def standardized(function, counts: np.ndarray, new: np.ndarray) -> np.ndarray:
    """New rows as a function reads them, by both ways, which have to agree."""
    standardize = Standardizer.of(Parts(jnp.asarray(counts)), function)
    rows = standardize(Parts(jnp.asarray(new))).rows
    on_host = standardize.on_host(Parts(jnp.asarray(new))).rows
    np.testing.assert_allclose(rows, on_host, rtol=1e-5, atol=1e-6)
    return np.asarray(rows, np.float64)


def plain(counts: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Columns less their means, over their sds, or more where an entry would be beyond five."""
    counts, new = counts.astype(np.float64), new.astype(np.float64)
    center = counts.mean(axis=0)
    spread = np.maximum(counts.std(axis=0), np.abs(counts - center).max(axis=0) / 5.0)
    return (new - center) / spread


def test_long_rows_are_shortened_by_the_formula_and_others_left() -> None:
    counts = documents(COLUMNS)
    new = np.concatenate([counts[:5], 100.0 * counts[:1]])
    expected = plain(counts, new)
    typical = np.sqrt(np.mean(np.sum(plain(counts, counts) ** 2, axis=1)))
    lengths = np.linalg.norm(expected, axis=1)
    assert lengths[0] > 5.0 * typical > 0.0
    for row, length in zip(expected, lengths, strict=True):
        if length > typical:
            row *= typical * (1.0 + np.log(length / typical)) / length
    found = standardized(MLP(), counts, new)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.linalg.norm(found[5]) > np.linalg.norm(found[0])  # no two become alike


@pytest.mark.parametrize("longest", [0, COLUMNS])
def test_rows_at_the_center_have_a_slope(longest) -> None:
    counts = documents(longest)
    standardize = Standardizer.of(Parts(jnp.asarray(counts)), MLP())
    center = jnp.asarray(counts.mean(axis=0))
    slope = jax.jacobian(lambda row: standardize(Parts(row[None])).rows[0])(center)
    spread = np.maximum(counts.std(axis=0), np.abs(counts - counts.mean(axis=0)).max(axis=0) / 5.0)
    np.testing.assert_allclose(slope, np.diag(1.0 / spread), rtol=1e-4, atol=1e-5)


def test_numbers_whose_squares_overflow_are_read_as_others_are() -> None:
    counts = documents(0)
    row = np.full((1, COLUMNS), 1e25, np.float32)
    np.testing.assert_allclose(standardized(MLP(), counts, row), plain(counts, row), rtol=1e-4)


def test_rows_of_like_lengths_are_left_as_they_are() -> None:
    counts = documents(0)
    np.testing.assert_allclose(
        standardized(MLP(), counts, counts), plain(counts, counts), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("function", [Polynomial(1), Network(lambda key, shape: None)])
def test_what_wants_linear_inputs_has_them(function) -> None:
    assert not function.shortens_rows
    standardize = Standardizer.of(Parts(jnp.asarray(documents(COLUMNS))), function)
    assert standardize.shortening is None


def test_functions_with_a_network_inside_do_as_it_does() -> None:
    assert Iterative().shortens_rows and not Iterative(network=Polynomial(1)).shortens_rows
    assert GradientAscent(start=MLP()).shortens_rows and not GradientAscent().shortens_rows
    assert (
        Windowed(MLP(), offsets=(-1, 0)).shortens_rows
        and not Windowed(Polynomial(1), offsets=(-1, 0)).shortens_rows
    )


def test_dense_rows_are_never_shortened() -> None:
    rows = np.random.default_rng(1).standard_t(2.0, (500, 3)).astype(np.float32)
    standardize = Standardizer.of(Parts(jnp.asarray(rows)), MLP())
    assert float(standardize.shortening) == 0.0
    inverse = dataclasses.replace(standardize, shortening=None)
    np.testing.assert_array_equal(
        standardize(Parts(jnp.asarray(rows))).rows, inverse(Parts(jnp.asarray(rows))).rows
    )
