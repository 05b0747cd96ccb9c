"""How often 95 % intervals of the amortization gap miss it, where it is known, over 100 seeds.

python benchmarks/gaps.py [--only constant columns saw groups nonlinear] [--out FILE]
"""

import dataclasses
import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy.optimize import minimize

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from rows import Row, measure, row  # noqa: E402

import amortis  # noqa: E402
from amortis.experiments import linear, nonlinear, saw  # noqa: E402
from amortis.experiments.comparison import Setting  # noqa: E402

SEEDS, SIZE = 100, 300
ROUNDING = 1e-5
"""Of the total: besides the noise of the draws there is rounding, in 32 bit a few units of it."""

Case = tuple[amortis.Fit, float]
"""A fit, and its gap in nats, total."""


def counted(name: str, case: Callable[[int], Case], draws: int = 128) -> list[Row]:
    """Misses of the interval, and what the gaps and errors look like."""
    missed, gaps, errors = 0, [], []
    for seed in range(SEEDS):
        fitted, exact = case(seed)
        found = amortis.diagnose(fitted, key=jax.random.key(1000 + seed), draws=draws).gap
        slack = ROUNDING * max(abs(exact), 1.0)
        missed += abs(found.mean - exact) > 1.96 * found.se + slack
        gaps.append(exact)
        errors.append(found.se)
    what = f"gap known, {name}"
    return [
        row(what, f"95 % intervals of {SEEDS} that miss", missed, SEEDS // 10),
        row(what, "median gap, nats total", float(np.median(gaps)), None),
        row(what, "median standard error, nats total", float(np.median(errors)), None),
    ]


def gaussian_gap(mean, sd, own, precision) -> float:
    """Of factors N(mean, sd^2) to each row's own optimum N(own, 1 / precision)."""
    shift = np.asarray(mean, np.float64) - own
    variance = precision * np.asarray(sd, np.float64) ** 2
    return float(0.5 * np.sum(precision * shift**2 + variance - 1.0 - np.log(variance)))


def constant_case(seed: int) -> Case:
    """The linear model with one factor for all rows."""
    tau, sigma = 1.155, 2.43
    x = (np.random.default_rng(seed).normal(size=SIZE) * 2.69).astype(np.float32)
    bound = amortis.from_numpyro(linear.model, x)
    fitted = amortis.fit(bound, key=jax.random.key(seed), inference=amortis.Constant())
    moments = fitted.moments()
    theta = float(moments["theta"][0])
    own = tau * (x.astype(np.float64) - theta) / (sigma**2 + tau**2)
    return fitted, gaussian_gap(*moments["z"], own, (sigma**2 + tau**2) / sigma**2)


def two_columns(u, v):
    """z_n ~ N(0, 1), u_n ~ N(z_n, 1), v_n ~ N(z_n, 1)."""
    with numpyro.plate("rows", u.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("u", dist.Normal(z, 1.0), obs=u)
        numpyro.sample("v", dist.Normal(z, 1.0), obs=v)


def columns_case(seed: int) -> Case:
    """A perceptron that reads one of the two columns that it should."""
    generator = np.random.default_rng(seed)
    u, v = (generator.normal(size=SIZE) + generator.normal(size=(2, SIZE))).astype(np.float32)
    whole = amortis.from_numpyro(two_columns, u, v)
    blind = dataclasses.replace(whole, inputs=whole.inputs[:, :1], input_names=("u",))
    fitted = amortis.fit(blind, key=jax.random.key(seed), inference=amortis.MLP(4))
    own = (u.astype(np.float64) + v) / 3.0
    return fitted, gaussian_gap(*fitted.moments()["z"], own, 3.0)


@functools.cache
def _saw_bound() -> amortis.LatentModel:
    """Bound once: other data in its place need no new compilation, as every new binding does."""
    return amortis.from_numpyro(saw.model, saw.simulate(Setting.PAPER, SIZE, 0).astype(np.float32))


def saw_case(seed: int) -> Case:
    """The saw, with a perceptron of x_n alone."""
    x = saw.simulate(Setting.PAPER, SIZE, seed).astype(np.float32)
    first = _saw_bound()
    density = dataclasses.replace(first.density, arrays={"x": jnp.asarray(x)})
    bound = dataclasses.replace(first, density=density, inputs=jnp.asarray(x)[:, None])
    fitted = amortis.fit(bound, key=jax.random.key(seed), inference=amortis.MLP(4))
    theta, v = float(fitted.global_moments()[0][0]), 1.0 + saw.ALPHA**2
    before = np.append(0.0, x[:-1])
    own = (before + saw.ALPHA * x - saw.ALPHA**2 * theta) / v
    return fitted, gaussian_gap(*fitted.moments()["z"], own, v)


def groups_model(y, group, groups):
    """Conjugate groups: z_j ~ N(m, 1), y_i ~ N(z_g(i), 1)."""
    m = numpyro.sample("m", dist.Normal(0.0, 3.0))
    with numpyro.plate("groups", groups):
        z = numpyro.sample("z", dist.Normal(m, 1.0))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)


@functools.cache
def _groups_bound() -> tuple[amortis.LatentModel, np.ndarray, int]:
    """Groups of uneven sizes, some empty; bound once, as the saw is."""
    generator = np.random.default_rng(1000)
    group = generator.integers(0, 40, SIZE) * generator.integers(0, 2, SIZE)
    group = np.where(group == 17, 0, group)
    return amortis.from_numpyro(groups_model, np.zeros(SIZE, np.float32), group, 40), group, 40


def groups_case(seed: int) -> Case:
    """Groups of uneven sizes, some empty, with one factor for all."""
    generator = np.random.default_rng(seed)
    first, group, groups = _groups_bound()
    y = (1.0 + generator.normal(size=groups)[group] + generator.normal(size=SIZE)).astype(
        np.float32
    )
    assert first.members is not None  # the groups are found
    data = {**first.data, "arrays": {**first.data["arrays"], "y": jnp.asarray(y)}}
    members = dataclasses.replace(first.members, values=jnp.asarray(y)[:, None])
    bound = dataclasses.replace(first, data=data, members=members)
    fitted = amortis.fit(bound, key=jax.random.key(seed), inference=amortis.Constant())
    count = np.bincount(group, minlength=groups)
    total = np.bincount(group, weights=y, minlength=groups)
    own = (float(fitted.moments()["m"][0]) + total) / (1.0 + count)
    return fitted, gaussian_gap(*fitted.moments()["z"], own, 1.0 + count)


def nonlinear_case(seed: int) -> Case:
    """The paper's nonlinear model with two hidden units; every row by quadrature and scipy."""
    x = nonlinear.simulate(nonlinear.Setting.PAPER, SIZE, seed).x.astype(np.float32)
    bound = amortis.from_numpyro(nonlinear.model, x)
    function = amortis.MLP(2, skip=False)
    fitted = amortis.fit(bound, key=jax.random.key(seed), inference=function)
    (mean,), (sd,) = (np.asarray(v, np.float64) for v in fitted.global_moments())
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    few, few_weights = np.polynomial.hermite_e.hermegauss(7)
    weights, few_weights = weights / weights.sum(), few_weights / few_weights.sum()
    theta = mean + sd * few

    def loss(raw: np.ndarray, x_n: float) -> float:
        z = raw[0] + math.exp(raw[1]) * nodes
        location = theta[:, None] + z + z * np.sin(z)
        log_p = -0.5 * z**2 - np.cos(z) - 0.5 * ((x_n - location) * np.exp(-np.cos(z))) ** 2
        return float(-few_weights @ log_p @ weights - raw[1])

    raws = np.asarray(fitted.guide.fitted_raw(fitted.variational, None), np.float64)
    gap = 0.0
    for x_n, raw in zip(x.astype(np.float64), raws, strict=True):
        gap += loss(raw, x_n) - minimize(loss, raw, (x_n,), method="BFGS").fun
    return fitted, gap


MEASUREMENTS = {
    "constant": lambda: [
        *counted("linear with Constant", constant_case),
        *counted("linear with Constant, 8 draws", constant_case, 8),
    ],
    "columns": lambda: counted("MLP of one column of two", columns_case),
    "saw": lambda: counted("saw, MLP of x_n alone", saw_case),
    "groups": lambda: counted("conjugate groups with Constant", groups_case),
    "nonlinear": lambda: counted("nonlinear, k = 2, by quadrature", nonlinear_case),
}


if __name__ == "__main__":
    measure(MEASUREMENTS, Path(__file__).parent / "results" / "gaps.json", __doc__)
