"""Small fits of every kind, with random parameters: nothing is optimised, and every bit counts."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from amortis import (
    MLP,
    DiagonalNormal,
    Fit,
    History,
    Point,
    Polynomial,
    SetNetwork,
    Status,
    Windowed,
    from_density,
    from_numpyro,
)
from amortis.families import AbstractFamily
from amortis.guide import Guide
from amortis.inference_functions import AbstractInferenceFunction
from amortis.model import LatentModel

HISTORY = History(
    seconds=np.asarray([0.1, 0.1 + 0.2]),
    objective=np.asarray([-np.inf, -1.0 / 3.0]),
    draws=np.asarray([16, 64]),
    iterations=np.asarray([12, 2**40]),
)


def columns(x, scale=1.0):
    mu = numpyro.sample("mu", dist.Normal(0.0, 3.0).expand([2]).to_event(1))
    sd = numpyro.sample("sd", dist.HalfNormal(1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mu[0], scale))
        w = numpyro.sample("w", dist.LogNormal(mu[1], 1.0))
        mean = jnp.stack([z, w, z + w], axis=1)
        numpyro.sample("x", dist.Normal(mean, sd).to_event(1), obs=x)


def categories(x, kind):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(z + a[kind], 1.0), obs=x)


def series(x):
    with numpyro.plate("units", x.shape[0] - 1):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("sum", dist.Normal(z, 1.0), obs=x[1:] + x[:-1])


def groups(y, group, count):
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
    with numpyro.plate("groups", count):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, data that it is fitted to, other data, and what is chosen."""

    model: Callable[..., Any]
    given: tuple[Any, ...]
    new: tuple[Any, ...]
    inference: AbstractInferenceFunction
    globals_: AbstractFamily = DiagonalNormal()  # noqa: RUF009
    local: str | None = None


def _cases() -> dict[str, Case]:
    generator = np.random.default_rng(20240731)

    def normal(*shape):
        return generator.normal(size=shape).astype(np.float32)

    mixing = normal(3, 3)
    x, x_new = normal(23, 3) @ mixing + 2.0, normal(5, 3) @ mixing
    both = ((x, 0.5), (x_new, 0.5))
    group = np.concatenate([np.arange(8), generator.integers(0, 8, 30)])
    few = np.asarray([0, 0, 2])
    kind = np.concatenate([np.arange(3), generator.integers(0, 3, 27)])
    return {
        "point": Case(columns, *both, MLP(3, 1, False, jax.nn.relu), Point(), "rows"),
        "decorrelated": Case(columns, *both, Polynomial(2), local="rows"),
        "categories": Case(categories, (normal(30), kind), (normal(4), kind[:4]), MLP(4)),
        "edges": Case(series, (normal(30),), (normal(9),), Windowed(MLP(4), (-1, 0, 1))),
        "sets": Case(groups, (normal(38), group, 8), (normal(3), few, 4), SetNetwork(4)),
    }


CASES = _cases()


def bound(case: Case) -> LatentModel:
    return from_numpyro(case.model, *case.given, local=case.local)


def unoptimised(
    model: LatentModel,
    inference: AbstractInferenceFunction,
    globals_: AbstractFamily | None = None,
    status: Status = Status.DRAWS_EXHAUSTED,
) -> Fit:
    """A fit as `fit` makes it, whose parameters are random."""
    guide = Guide.for_model(
        model, inference, globals_ or DiagonalNormal(), DiagonalNormal()
    ).starting_at(-2.0)
    generator = np.random.default_rng(5)
    variational = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.1 * generator.normal(size=leaf.shape), leaf.dtype),
        guide.init(jax.random.key(1)),
    )
    return Fit(model, guide, variational, status, HISTORY)


def of_cases() -> dict[str, Fit]:
    models = {case.model: bound(case) for case in CASES.values()}
    return {n: unoptimised(models[c.model], c.inference, c.globals_) for n, c in CASES.items()}


def density(data: Any) -> LatentModel:
    """A model of rows that is bound in no time; of several columns it reads the first."""
    return from_density(
        lambda theta: -0.5 * theta["mu"] ** 2,
        lambda theta, z, x: (
            -0.5 * (z["z"] - theta["mu"]) ** 2 - 0.5 * (jax.tree.leaves(x)[0] - z["z"]) ** 2
        ),
        data,
        globals_={"mu": ()},
        locals_={"z": ()},
    )


def moments(fitted: Fit) -> dict[str, np.ndarray]:
    """What a fit says of all latents, as arrays by name."""
    sites = fitted.moments().items()
    return {f"{site}.{i}": np.asarray(both[i]) for site, both in sites for i in (0, 1)}
