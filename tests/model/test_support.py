"""Observations outside of the support of their site are refused when a model is bound."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import amortis

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 2, (30, 4)).astype(np.float32)
COUNTS = GENERATOR.poisson(3.0, (30, 4)).astype(np.float32)


def observing(law, values):
    def model(x, total=None):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", law(z, total), obs=x)

    total = values.sum(axis=1) if law is multinomial else None
    return lambda: amortis.from_numpyro(model, values, total)


def bernoulli(z, total):
    del total
    return dist.Bernoulli(logits=z[:, None] + np.zeros(4, np.float32)).to_event(1)


def poisson(z, total):
    del total
    return dist.Poisson(jnp.exp(z[:, None]) + np.ones(4, np.float32)).to_event(1)


def multinomial(z, total):
    return dist.Multinomial(total_count=total, logits=z[:, None] * np.arange(4.0, dtype=np.float32))


def with_one(values, at, bad):
    changed = values.copy()
    changed[at] = bad
    return changed


@pytest.mark.parametrize(
    ("law", "values", "line"),
    [
        (
            bernoulli,
            with_one(IMAGES, (3, 2), 0.5),
            r"site 'x' \(BernoulliLogits\) observes 0\.5, first at index \(3, 2\) \(1 such "
            r"values\); expected zeros and ones: recode",
        ),
        (
            poisson,
            with_one(COUNTS, (7, 0), 2.5),
            r"site 'x' \(Poisson\) observes 2\.5, first at index \(7, 0\).*whole numbers from 0",
        ),
        (
            multinomial,
            with_one(COUNTS, (5, slice(0, 2)), (0.5, 1.5)),
            r"site 'x' \(MultinomialLogits\) observes \[0\.5.*first at index \(5,\).*add up",
        ),
    ],
)
def test_outside(law, values, line, standard_promotion):
    with pytest.raises(amortis.DataError, match=line):
        observing(law, values)()


@pytest.mark.parametrize(
    ("law", "values"), [(bernoulli, IMAGES), (poisson, COUNTS), (multinomial, COUNTS)]
)
def test_inside(law, values, standard_promotion):
    assert observing(law, values)().size == 30


def test_masked_entries_may_be_anything(standard_promotion):
    def model(x, known):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            law = dist.Bernoulli(logits=z[:, None] + np.zeros(4, np.float32))
            numpyro.sample("x", law.mask(known).to_event(1), obs=x)

    values = with_one(IMAGES, (3, 2), -1.0)
    assert amortis.from_numpyro(model, values, values >= 0.0).size == 30
