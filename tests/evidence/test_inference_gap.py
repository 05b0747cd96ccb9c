"""The inference gap on a linear decoder, where every term is known."""

import jax
import numpy as np
import pytest

from amortis import (
    AnnealedImportanceSampling,
    ArgumentError,
    Constant,
    DiagonalNormal,
    FullRank,
    ImportanceSampling,
    LowRank,
    Polynomial,
    RowAscent,
    RowTerm,
    fit,
    infer,
    inference_gap,
)
from amortis.evidence.held import held
from amortis.evidence.inference_gap import crossed_choice
from tests.evidence.linear_decoder import LinearDecoder

FEW = {
    "importance": ImportanceSampling(2000),
    "annealed": AnnealedImportanceSampling(temperatures=20, chains=8),
}
GAUSSIAN = (DiagonalNormal(), FullRank())


def measured(decoder, fitted, key, **choices):
    gap = inference_gap(fitted, key=key, **FEW, **choices)
    raw = held(fitted, None).raw
    amortization = decoder.gap_of(raw) - decoder.family_gap
    return gap, amortization


@pytest.fixture(scope="module")
def decoder():
    return LinearDecoder.example(30, 5, 3)


@pytest.fixture(scope="module")
def poor(decoder):
    """One factor for all rows: an amortization gap of nats."""
    return fit(decoder.bound, key=jax.random.key(0), inference=Constant())


@pytest.fixture(scope="module")
def gap(decoder, poor):
    return measured(decoder, poor, jax.random.key(3), families=GAUSSIAN)


def test_each_term_is_exact(decoder, gap):
    """Row by row, by Newton's steps: nothing but the noise of 512 pairs is left."""
    found, amortization = gap
    approximation, family, function = found.terms
    np.testing.assert_allclose(found.log_evidence.rows, decoder.log_evidence, atol=1e-3)
    np.testing.assert_allclose(approximation.rows, 0.0, atol=1e-3)
    np.testing.assert_allclose(function.rows, amortization, rtol=1e-4, atol=1e-3)
    apart = family.rows - decoder.family_gap
    # Thirty rows at 4.5 standard errors: false-failure rate 2e-4; the draws are seeded.
    assert (np.abs(apart) < 4.5 * family.row_ses + 1e-3).all()
    assert abs(apart.mean()) < 0.02


def test_the_terms_add_up_to_what_is_measured_apart(gap):
    found, _ = gap
    assert abs(found.closure.mean) < 4.0 * found.closure.se < 0.1
    whole = found.log_evidence.rows - found.encoder.rows
    np.testing.assert_allclose(sum(term.rows for term in found.terms), whole, atol=1e-9)


def test_it_reads_as_a_table_and_as_json(gap):
    found, _ = gap
    text, plain = str(found), found.to_dict()
    for line in ("encoder", "family gap, DiagonalNormal to FullRank", "amortization gap", "add up"):
        assert line in text
    assert [term["name"] for term in plain["terms"]] == [term.name for term in found.terms]
    assert plain["rows"] == 30 and len(plain["optima"]) == 2


@pytest.mark.slow
def test_many_latents_are_climbed_by_stochastic_gradients(decoder, key):
    """Six latents with correlated posteriors: 27 raw parameters of a full covariance."""
    wide = LinearDecoder.example(12, 10, 6, seed=2)
    fitted = fit(wide.bound, key=key, inference=Constant())
    found, amortization = measured(wide, fitted, key, families=GAUSSIAN, draws=2048)
    approximation, family, function = (term.rows.mean() for term in found.terms)
    np.testing.assert_allclose(approximation, 0.0, atol=2e-3)
    np.testing.assert_allclose(family, wide.family_gap, atol=0.03)
    np.testing.assert_allclose(function, amortization.mean(), atol=0.01)


@pytest.mark.slow
def test_new_rows_and_a_function_that_is_ideal(decoder, key):
    """An exact linear function of full rank has no gap at all, on rows that it has not seen."""
    fitted = fit(decoder.bound, key=key, inference=Polynomial(1), locals_=FullRank())
    new = LinearDecoder(decoder.weights, 1.0, 1.5 * decoder.x[:6] + 0.3)
    found = inference_gap(
        infer(fitted, new.x.astype(np.float32)), key=key, families=(FullRank(),), **FEW
    )
    np.testing.assert_allclose(found.log_evidence.rows, new.log_evidence, atol=2e-3)
    for term in found.terms:
        np.testing.assert_allclose(term.rows, 0.0, atol=2e-3)


@pytest.mark.slow
def test_a_flow_gains_nothing_where_the_posterior_is_normal(decoder, poor, key):
    found, _ = measured(decoder, poor, key)
    assert [term.name for term in found.terms][1] == "family gap, FullRank to Flow"
    np.testing.assert_allclose(found.terms[1].rows, 0.0, atol=5e-3)
    np.testing.assert_allclose(found.terms[0].rows, 0.0, atol=5e-3)


def test_the_choice_of_an_estimate_has_no_bias():
    """The larger of two estimates without bias is high by 0.56 sds, the crossed choice is not."""
    generator = np.random.default_rng(0)
    crossed, largest = [], []
    for _ in range(4000):
        each = generator.normal(size=(2, 4))
        given = {str(i): RowTerm(str(i), rows, np.ones(4)) for i, rows in enumerate(each)}
        crossed.append(crossed_choice(given).rows.mean())
        largest.append(each.max(axis=0).mean())
    # Four standard errors of 4000 means of four: false-failure rate 6e-5.
    assert abs(np.mean(crossed)) < 4.0 * np.std(crossed) / np.sqrt(4000)
    assert np.mean(largest) > 0.5
    better = {"a": RowTerm("a", np.zeros(5), np.ones(5)), "b": RowTerm("b", np.ones(5), np.ones(5))}
    np.testing.assert_array_equal(crossed_choice(better).rows, 1.0)


def test_what_cannot_be_measured_is_refused_in_one_line(poor, key):
    for families, message in (((), "families is empty"), ((LowRank(1),), r"expected DiagonalNorm")):
        with pytest.raises(ArgumentError, match=message) as caught:
            inference_gap(poor, key=key, families=families)
        assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match="RowAscent steps is 0"):
        RowAscent(steps=0)
