"""Cases in the corners: terms that act far from zero, rarely, or without a derivative.

Each has the same clean hierarchy around 170, with prior standard deviations of ten, and one factor
more. The verdicts follow from the factor alone: which units' latents and data it holds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from tests.structure.models import (
    COUPLED,
    HIDDEN,
    POINTWISE,
    UNKNOWN,
    N,
    binary,
    case,
    normal,
    one,
    own_constants,
    rows,
    sample,
)


def heights(size: int, g: np.random.Generator):
    """One array around 170."""
    return ((170.0 + 14.0 * g.normal(size=size)).astype(np.float32),)


def hierarchy(x, place: float = 170.0, scale: float = 10.0, noise: float = 1.0):
    """theta ~ N(place, scale), z_n ~ N(theta, scale), x_n ~ N(z_n, noise)."""
    theta = sample("theta", N(place, scale))
    with rows(x.shape[0]):
        z = sample("z", N(theta, scale))
        sample("x", N(z, noise), x)
    return theta, z


def relu(value):
    return jax.nn.relu(value)


def term(value) -> None:
    numpyro.factor("term", value)


@case(COUPLED, heights, "sigmoid(z_n - 170) z_{n+1} holds two units' locals, and is flat near zero")
def sigmoid_far_out(x):
    _, z = hierarchy(x)
    term(jnp.sum(jax.nn.sigmoid(z[:-1] - 170.0) * z[1:]))


@case(COUPLED, heights, "relu(z_n - 150) relu(z_{n+1} - 150) is zero near zero")
def hinges_far_out(x):
    _, z = hierarchy(x)
    term(jnp.sum(relu(z[:-1] - 150.0) * relu(z[1:] - 150.0)))


@case(COUPLED, heights, "the kink of relu(z_n + z_{n+1} - 340) lies where the sum of two units is")
def kink_of_a_sum(x):
    _, z = hierarchy(x)
    term(jnp.sum(relu(z[1:] + z[:-1] - 340.0)))


@case(COUPLED, heights, "neighbors touch where theta > 165, which the prior often draws")
def touching_where_theta_is_large(x):
    theta, z = hierarchy(x)
    term(jnp.where(theta > 165.0, jnp.sum(z[1:] * z[:-1]), 0.0))


@case(COUPLED, heights, "neighbors touch where x_n > 230, which no row has")
def touching_where_no_datum_is(x):
    _, z = hierarchy(x)
    term(jnp.sum(jnp.where(x[:-1] > 230.0, z[:-1], 0.0) * z[1:]))


@case(COUPLED, one, "neighbors within 1e-4 repel each other, and the prior's scale is 1e-4")
def touching_closely(x):
    _, z = hierarchy(1e-4 * x, 0.0, 1e-4, 1e-4)
    term(jnp.sum(jnp.exp(-1e8 * (z[1:] - z[:-1]) ** 2)))


@case(HIDDEN, heights, "c_n relu(z_n - 165): a constant of each row, which acts far from zero")
def hidden_far_out(x):
    _, z = hierarchy(x)
    term(jnp.sum(own_constants(x.shape[0]) * relu(z - 165.0)))


@case(COUPLED, heights, "-1000 wherever z_{n+1} < z_n: two units, no derivative")
def almost_in_order(x):
    _, z = hierarchy(x)
    term(jnp.sum(jnp.where(z[1:] > z[:-1], 0.0, -1e3)))


@case(
    COUPLED,
    heights,
    "the order of all, as a constraint: zero density wherever it is not kept",
    doubt="no draw is in order, so that there is no point to start from",
)
def strictly_in_order(x):
    _, z = hierarchy(x)
    term(jnp.where(jnp.all(z[1:] > z[:-1]), 0.0, -jnp.inf))


@case(COUPLED, one, "the signs of neighbors are multiplied")
def signs(x):
    _, z = hierarchy(x, 0.0, 1.0)
    term(jnp.sum(jnp.sign(z[1:]) * jnp.sign(z[:-1])))


@case(COUPLED, one, "neighbors are rounded and multiplied")
def rounded(x):
    _, z = hierarchy(x, 0.0, 1.0)
    term(jnp.sum(jnp.round(z[1:]) * jnp.round(z[:-1])))


@case(COUPLED, heights, "z_n's rank among all is weighted by x_n")
def ranks(x):
    _, z = hierarchy(x)
    term(0.1 * jnp.sum(jnp.argsort(jnp.argsort(z)) * x))


@case(COUPLED, heights, "a single pair is compared, over forty per cent of the rows")
def one_pair_compared(x):
    _, z = hierarchy(x)
    term(jnp.where(z[0] > z[(2 * x.shape[0]) // 5], 0.0, -3.0))


@case(COUPLED, heights, "whether any z_n exceeds 200, as it may or may not, depends on all")
def whether_any(x):
    _, z = hierarchy(x)
    term(jnp.where(jnp.any(z > 200.0), -3.0, 0.0))


@case(COUPLED, heights, "the largest z_n is another one at each point")
def largest(x):
    _, z = hierarchy(x)
    term(jnp.max(z))


@case(COUPLED, lambda size, g: (binary(size, g)[0][1:],), "y_n's odds say whether z_{n+1} > z_n")
def comparisons_observed(y):
    theta = sample("theta", N())
    with rows(y.shape[0] + 1):
        z = sample("z", N(theta, 1.0))
    sample("y", dist.Bernoulli(jnp.where(z[1:] > z[:-1], 0.9, 0.1)).to_event(1), y)


@case(HIDDEN, heights, "-5 where z_n < 170 + c_n: a constant of each row, no derivative")
def hidden_thresholds(x):
    _, z = hierarchy(x)
    term(jnp.sum(jnp.where(z > 170.0 + 5.0 * own_constants(x.shape[0]), 0.0, -5.0)))


@case(
    UNKNOWN,
    heights,
    "z_n's factor reads x_n, and x_{n-1} by a comparison",
    doubt="a function of windows exists, but how x_{n-1} is read has no derivative to see it by",
)
def compared_with_the_last_datum(x):
    _, z = hierarchy(x)
    term(jnp.sum(jnp.where(z[1:] > x[:-1], 0.0, -5.0)))


@case(
    UNKNOWN,
    binary,
    "y_n's odds say whether z_n > 0",
    doubt="a function of y_n exists, but nothing is read by derivatives",
)
def thresholded(y):
    with rows(y.shape[0]):
        z = sample("z", N())
        sample("y", dist.Bernoulli(jnp.where(z > 0, 0.9, 0.1)), y)


@case(COUPLED, one, "twenty nats if most z_n are positive, in one sum with sharp likelihoods")
def drowned_in_a_sum(x):
    with rows(x.shape[0]):
        z = sample("z", N())
    likelihood = jnp.sum(N(z, 0.01).log_prob(x))
    term(likelihood + jnp.where(jnp.mean((z > 0).astype(x.dtype)) > 0.5, 1.0, 0.0))


@case(COUPLED, one, "one pair is compared, in one sum with sharp likelihoods")
def one_pair_drowned_in_a_sum(x):
    with rows(x.shape[0]):
        z = sample("z", N())
    likelihood = jnp.sum(N(z, 0.001).log_prob(x))
    term(likelihood + jnp.where(z[0] > z[(2 * x.shape[0]) // 5], 0.0, -0.3))


@case(
    UNKNOWN,
    lambda size, g: (normal(size, g), g.integers(0, 6, size)),
    "x_n's mean reads the difference of its year from the last year of all rows",
    doubt="every row reads the largest year, which a minibatch does not have",
)
def years_before_the_last(x, year):
    a = sample("a", dist.Normal(0.0, 1.0).expand([6]).to_event(1))
    with rows(x.shape[0]):
        z = sample("z", N())
        sample("x", N(z + a[year.max() - year], 1.0), x)


@case(
    UNKNOWN,
    lambda size, g: (normal(size, g), g.integers(0, 6, size)),
    "only rows of the last year have the effect b",
    doubt="every row reads the largest year, which a minibatch does not have",
)
def in_the_last_year(x, year):
    b = sample("b", N())
    with rows(x.shape[0]):
        z = sample("z", N())
        sample("x", N(z + b * jnp.where(year == year.max(), 1.0, 0.0), 1.0), x)


@case(
    POINTWISE,
    lambda size, g: (normal(60, g), np.sort(g.permutation(60)[:3])),
    "the missing value m is a latent with its prior alone; where it stands does not matter",
    doubt="the places are an index into the rows, of which no pattern is known",
    sizes=(3,),
)
def missing_values(x, places):
    mu = sample("mu", N(0.0, 5.0))
    with rows(3, "missing"):
        filled = numpyro.sample("filled", dist.Normal(0.0, 3.0).mask(False))
    with rows(60, "all"):
        sample("x", N(mu, 1.0), jnp.asarray(x).at[places].set(filled))


@case(
    UNKNOWN,
    lambda size, g: (normal(60, g), np.sort(g.permutation(60)[:5]), normal(60, g)),
    "filled[m] reads y at places[m], which is a gather and no group",
    doubt="the places are an index into the rows, of which no pattern is known",
    sizes=(5,),
)
def missing_covariates(y, places, w):
    a, b = sample("a", N()), sample("b", N())
    with rows(5, "missing"):
        filled = sample("filled", N())
    with rows(60, "all"):
        sample("y", N(a + b * jnp.asarray(w).at[places].set(filled), 1.0), y)


def far_hinges(z) -> None:
    term(jnp.sum(relu(z[:-1] - 170.0) * relu(z[1:] - 170.0)))


@case(COUPLED, heights, "an improper prior draws nothing near 170, but the data are there")
def improper_and_far(x):
    with rows(x.shape[0]):
        z = sample("z", dist.ImproperUniform(dist.constraints.real, (), ()))
        sample("x", N(z, 1.0), x)
    far_hinges(z)


class Unsampled(dist.Normal):
    """A prior that has a density and no sampler."""

    def sample(self, key, sample_shape=()):
        raise NotImplementedError


@case(COUPLED, heights, "a prior without a sampler, and data near 170")
def unsampled_and_far(x):
    with rows(x.shape[0]):
        z = sample("z", Unsampled(170.0, 10.0))
        sample("x", N(z, 1.0), x)
    far_hinges(z)


@case(POINTWISE, heights, "relu(z_n - 165) is a term of z_n alone")
def own_hinge(x):
    _, z = hierarchy(x)
    term(jnp.sum(relu(z - 165.0)))


@case(POINTWISE, heights, "-3 where z_n < 165 is a term of z_n alone")
def own_jump(x):
    _, z = hierarchy(x)
    term(jnp.sum(jnp.where(z > 165.0, 0.0, -3.0)))


@case(POINTWISE, heights, "-5 where z_n < x_n is a term of row n")
def own_comparison(x):
    _, z = hierarchy(x)
    term(jnp.sum(jnp.where(z > x, 0.0, -5.0)))


@case(
    POINTWISE, heights, "zero density for theta outside (0, 500), and for z_n < 0: its own support"
)
def own_bounds(x):
    theta = sample("theta", dist.Uniform(0.0, 500.0))
    with rows(x.shape[0]):
        z = sample("z", dist.TruncatedNormal(theta, 10.0, low=0.0))
        sample("x", N(z, 1.0), x)
