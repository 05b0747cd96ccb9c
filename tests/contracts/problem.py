"""One small model, and every combination of choices that has to keep the contract on it."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from flax import nnx
from jax.scipy.stats import norm

from amortis import (
    MLP,
    ClosedFormEntropy,
    Constant,
    DiagonalNormal,
    Iterative,
    Network,
    PlainSlope,
    Point,
    Polynomial,
    StickTheLanding,
    Table,
    Windowed,
    from_numpyro,
)
from amortis.guide import Guide, Noise
from amortis.objectives import NegativeElbo, with_row_elbos

ROWS, COLUMNS = 6, 3
GLOBALS, LOCALS = 3, 3


def equinox_network(key, columns, outputs):
    """A perceptron with one hidden layer of four units."""
    return eqx.nn.MLP(columns, outputs, 4, 1, activation=jnp.tanh, key=key)


def nnx_network(key, columns, outputs):
    """A linear map; NNX makes 32-bit numbers unless it is told otherwise."""
    dtype = jnp.result_type(float)
    return nnx.Linear(columns, outputs, rngs=nnx.Rngs(key), param_dtype=dtype)


FAMILIES = {"diagonal": DiagonalNormal(), "point": Point()}
FUNCTIONS = {
    "constant": Constant(),
    "table": Table(),
    "linear": Polynomial(1),
    "cubic": Polynomial(3),
    "mlp": MLP(width=5, depth=2),
    "plain_mlp": MLP(width=3, depth=1, skip=False),
    "windowed": Windowed(Polynomial(1), (-1, 0)),
    "equinox": Network(equinox_network),
    "nnx": Network(nnx_network),
    "iterative": Iterative(Polynomial(1), 2, PlainSlope(), through=True),
}
GRADIENTS = {"closed": ClosedFormEntropy(), "stick": StickTheLanding()}

COMBINATIONS = list(itertools.product(FAMILIES, FUNCTIONS, GRADIENTS))

RAW = 2 * LOCALS
PARAMETERS_OF_FUNCTION = {
    "constant": RAW,
    "table": ROWS * RAW,
    "linear": (1 + COLUMNS) * RAW,
    "cubic": math.comb(COLUMNS + 3, 3) * RAW,
    "mlp": (COLUMNS * 5 + 5) + (5 * 5 + 5) + 6 * RAW + COLUMNS * RAW,
    "plain_mlp": (COLUMNS * 3 + 3) + 4 * RAW,
    "windowed": (1 + 2 * COLUMNS) * RAW + RAW,  # the first row has no row before it
    "equinox": (COLUMNS * 4 + 4) + (4 * RAW + RAW) + RAW,  # and a scale per output
    "nnx": (COLUMNS * RAW + RAW) + RAW,
    # The context, the iterate and its slope; proposals and gates.
    "iterative": (1 + COLUMNS + RAW + RAW) * 2 * RAW,
}
PARAMETERS_OF_GLOBALS = {"diagonal": 2 * GLOBALS, "point": GLOBALS}


def model(x, count):
    """Two globals, one of them positive; a scalar and a positive vector for each row."""
    mean = numpyro.sample("mean", dist.Normal(jnp.zeros(()), 2.0))
    spread = numpyro.sample("spread", dist.HalfNormal(jnp.full(2, 1.5)).to_event(1))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mean, 1.3))
        w = numpyro.sample("w", dist.LogNormal(jnp.zeros(2), spread).to_event(1))
        numpyro.sample("x", dist.Normal(z[..., None] * w, 0.7).to_event(1), obs=x)
        numpyro.sample("count", dist.Exponential(jnp.exp(0.3 * z)), obs=count.astype(x.dtype))


def log_joint(theta, z, data, with_log_det):
    """The same model written out, for draws of unconstrained values: shapes (S, 3), (S, N, 3)."""
    x, count = data["arrays"]
    mean, log_spread = theta[:, :1], theta[:, 1:]
    spread = jnp.exp(log_spread)
    prior = norm.logpdf(mean, 0.0, 2.0).sum(axis=1)
    prior += (norm.logpdf(spread, 0.0, 1.5) + jnp.log(2.0)).sum(axis=1)
    prior += log_spread.sum(axis=1) if with_log_det else 0.0
    first, log_w = z[..., 0], z[..., 1:]
    rows = norm.logpdf(first, mean, 1.3)
    rows += norm.logpdf(log_w, 0.0, spread[:, None, :]).sum(axis=2)  # 1/w cancels the log det
    rows += norm.logpdf(x, first[..., None] * jnp.exp(log_w), 0.7).sum(axis=2)
    rows += 0.3 * first - jnp.exp(0.3 * first) * count.astype(x.dtype)
    return prior + rows.sum(axis=1)


def bound():
    """The model bound to six rows of two arrays."""
    generator = np.random.default_rng(1)
    return from_numpyro(
        model, generator.normal(size=(ROWS, 2)), count=generator.poisson(2.0, size=ROWS)
    )


def loss_of(bound_model, family, function, gradient):
    """The loss of one combination, by its names."""
    guide = Guide.for_model(bound_model, FUNCTIONS[function], FAMILIES[family], DiagonalNormal())
    guide = with_row_elbos(guide, bound_model).starting_at(-1.0)
    return NegativeElbo(bound_model, guide, GRADIENTS[gradient])


def parameters_of(loss, seed=0):
    """Starting parameters moved by noise of size 0.2, so that nothing is zero by symmetry."""
    leaves, structure = jax.tree.flatten(loss.guide.init(jax.random.key(seed)))
    generator = np.random.default_rng(seed)
    moved = [
        leaf + jnp.asarray(0.2 * generator.normal(size=leaf.shape), leaf.dtype) for leaf in leaves
    ]
    return jax.tree.unflatten(structure, moved)


def noise_of(draws, rows=ROWS, seed=0):
    """Independent noise with unequal weights."""
    generator = np.random.default_rng(seed)
    dtype = jnp.result_type(float)
    weight = generator.uniform(0.5, 1.5, size=draws)
    return Noise(
        jnp.asarray(generator.normal(size=(draws, GLOBALS)), dtype),
        jnp.asarray(generator.normal(size=(draws, rows, LOCALS)), dtype),
        jnp.asarray(weight / weight.sum(), dtype),
    )
