"""Models of every shape that can be bound: a function, its data, and what is expected of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

N = 10


@dataclasses.dataclass(frozen=True)
class Case:
    """A model with N rows of data, and the unconstrained shapes that binding should find."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    globals_: dict[str, tuple[int, ...]]
    locals_: dict[str, tuple[int, ...]]
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    whole: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Keywords with which the model, if it subsamples, runs on all rows in order."""
    local: str | None = None
    plate: str = "rows"


def _data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _zero():
    return jnp.zeros(())


def plain(x, sd):
    theta = numpyro.sample("theta", dist.Normal(_zero(), 10.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, sd), obs=x)


def dim_minus_two(x):
    """Rows on the second axis from the right; an inner plate with latents of its own."""
    theta = numpyro.sample("theta", dist.Normal(_zero(), 1.0))
    with numpyro.plate("rows", x.shape[0], dim=-2):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))  # (N, 1)
        with numpyro.plate("columns", x.shape[1], dim=-1):
            w = numpyro.sample("w", dist.Normal(z, 1.0))  # (N, 3)
            numpyro.sample("x", dist.Normal(w, 0.5), obs=x)


def inner_plate_of_data(x):
    """Only observations in the inner plate; a global vector in the columns' plate."""
    columns = numpyro.plate("columns", x.shape[1], dim=-1)
    with columns:
        loading = numpyro.sample("loading", dist.Normal(_zero(), 1.0))
    with numpyro.plate("rows", x.shape[0], dim=-2):
        z = numpyro.sample("z", dist.Normal(_zero(), 1.0))
        with columns:
            numpyro.sample("x", dist.Normal(z * loading, 0.5), obs=x)


def rows_on_the_right(x):
    """Rows at dim -1 inside an outer plate at dim -2: the row axis is not the first."""
    theta = numpyro.sample("theta", dist.Normal(_zero(), 1.0))
    with numpyro.plate("rows", x.shape[0], dim=-1):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        with numpyro.plate("sides", 2, dim=-2):
            w = numpyro.sample("w", dist.Normal(z, 1.0))  # (2, N)
            numpyro.sample("x", dist.Normal(w, 0.5), obs=x.T)


def vectors(x):
    weights = numpyro.sample("weights", dist.Normal(jnp.zeros((3, 2)), 1.0).to_event(2))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        numpyro.sample("x", dist.Normal(z @ weights.T, 0.5).to_event(1), obs=x)


def multivariate(x):
    mean = numpyro.sample("mean", dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.MultivariateNormal(mean, 0.5 * jnp.eye(2)))
        numpyro.sample("x", dist.MultivariateNormal(z, jnp.eye(2)), obs=x)


def expanded(x):
    theta = numpyro.sample("theta", dist.Normal(_zero(), 1.0))
    z = numpyro.sample("z", dist.Normal(theta, 1.0).expand([x.shape[0]]))
    numpyro.sample("x", dist.Normal(z, 0.5), obs=x)


def expanded_to_event(x):
    theta = numpyro.sample("theta", dist.Gamma(jnp.full((), 2.0), 1.0))
    z = numpyro.sample("z", dist.Normal(jnp.zeros(()), theta).expand([x.shape[0], 2]).to_event(2))
    numpyro.sample("x", dist.Normal(z, 0.5).to_event(2), obs=x)


def several_locals(x, shares):
    """A scalar, a vector and a simplex for each row."""
    theta = numpyro.sample("theta", dist.Dirichlet(jnp.ones(4)))
    with numpyro.plate("rows", x.shape[0]):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0 + _zero()))
        vector = numpyro.sample("vector", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        share = numpyro.sample("share", dist.Dirichlet(3.0 * theta))
        numpyro.sample("x", dist.Normal(vector.sum(-1), 0.1 + scale), obs=x)
        numpyro.sample("shares", dist.Dirichlet(1.0 + 5.0 * share), obs=shares)


def supports(x):
    """Global and local sites on every common support."""
    positive = numpyro.sample("positive", dist.Gamma(2.0 + _zero(), 1.0))
    unit = numpyro.sample("unit", dist.Beta(2.0 + _zero(), 3.0))
    interval = numpyro.sample("interval", dist.Uniform(-1.0 + _zero(), 2.0))
    simplex = numpyro.sample("simplex", dist.Dirichlet(jnp.ones(3)))
    ordered = numpyro.sample("ordered", dist.ImproperUniform(constraints.ordered_vector, (), (3,)))
    center = interval + simplex.sum() + 0.1 * ordered.sum()
    with numpyro.plate("rows", x.shape[0]):
        a = numpyro.sample("a", dist.LogNormal(_zero(), positive))
        b = numpyro.sample("b", dist.Beta(2.0 + _zero(), 1.0 + unit))
        c = numpyro.sample("c", dist.Dirichlet(jnp.ones(3)))
        d = numpyro.sample(
            "d",
            dist.TransformedDistribution(
                dist.Normal(jnp.zeros(3), 1.0).to_event(1), dist.transforms.OrderedTransform()
            ),
        )
        mean = center + a * b + c[..., 0] + d[..., 2]
        numpyro.sample("x", dist.Normal(mean, 2.0), obs=x)


def several_arrays(data, offset, *, weights):
    """A dictionary of arrays with integers and booleans, an offset that has no rows, a keyword."""
    theta = numpyro.sample("theta", dist.Normal(jnp.zeros(4), 1.0).to_event(1))
    y, group, flag = data["y"], data["group"], data["flag"]
    with numpyro.plate("rows", y.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta[group], 1.0))
        mean = z + jnp.where(flag, offset.sum(), 0.0)
        with numpyro.handlers.scale(scale=weights):
            numpyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def factors_and_masks(x, keep):
    theta = numpyro.sample("theta", dist.Normal(_zero(), 1.0))
    numpyro.factor("penalty", -(theta**2))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.factor("tilt", -0.1 * z**4)
        numpyro.deterministic("twice", 2.0 * z)
        with numpyro.handlers.mask(mask=keep):
            numpyro.sample("x", dist.Normal(z, 0.5), obs=x)


def subsampled_by_index(x, batch):
    theta = numpyro.sample("theta", dist.Normal(_zero(), 1.0))
    with numpyro.plate("rows", x.shape[0], subsample_size=batch) as index:
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, 0.5), obs=x[index])


def subsampled(x, batch):
    theta = numpyro.sample("theta", dist.Normal(_zero(), 1.0))
    with numpyro.plate("rows", x.shape[0], subsample_size=batch):
        rows = numpyro.subsample(x, event_dim=1)
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z[..., None], 0.5).to_event(1), obs=rows)


def size_written_in(x):
    """The number of rows is written into the plate, but the data follow the plate's index."""
    theta = numpyro.sample("theta", dist.Normal(_zero(), 1.0))
    with numpyro.plate("rows", N) as index:
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, 0.5), obs=x[index])


def crossed(x):
    """Latents of rows and of columns: locals only where the user says which."""
    rows = numpyro.plate("rows", x.shape[0], dim=-2)
    columns = numpyro.plate("columns", x.shape[1], dim=-1)
    with rows:
        u = numpyro.sample("u", dist.Normal(_zero(), 1.0))
    with columns:
        v = numpyro.sample("v", dist.Normal(_zero(), 1.0))
    with rows, columns:
        numpyro.sample("x", dist.Normal(u + v, 0.5), obs=x)


def no_globals(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(_zero(), 1.0))
        numpyro.sample("x", dist.Normal(z, 0.5), obs=x)


def table_of_constants(x):
    """A vector of N globals beside the plate is no local."""
    theta = numpyro.sample("theta", dist.Normal(jnp.zeros(N), 1.0).to_event(1))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta.sum(), 1.0))
        numpyro.sample("x", dist.Normal(z, 0.5), obs=x)


class Column:
    """What a pandas column looks like from outside."""

    def __init__(self, values):
        self._values = values

    def to_numpy(self):
        return self._values


_SCALAR = {"theta": ()}
_DATA = {
    "y": _data(N),
    "group": np.random.default_rng(1).integers(0, 4, size=N),
    "flag": np.random.default_rng(2).integers(0, 2, size=N) > 0,
}
_SHARES = np.random.default_rng(3).dirichlet(np.ones(4), size=N)

CASES = {
    "plain": Case(plain, (_data(N), 0.7), _SCALAR, {"z": ()}),
    "keywords": Case(plain, (), _SCALAR, {"z": ()}, kwargs={"x": _data(N), "sd": 0.7}),
    "row_wise_sd": Case(plain, (_data(N), np.abs(_data(N)) + 0.1), _SCALAR, {"z": ()}),
    "pandas": Case(plain, (Column(_data(N)),), _SCALAR, {"z": ()}, kwargs={"sd": 0.7}),
    "list": Case(plain, ([0.5 * i for i in range(N)], 0.7), _SCALAR, {"z": ()}),
    "dim_minus_two": Case(
        dim_minus_two, (_data(N, 3),), _SCALAR, {"z": (1,), "w": (3,)}, local="rows"
    ),
    "inner_plate": Case(inner_plate_of_data, (_data(N, 3),), {"loading": (3,)}, {"z": (1,)}),
    "rows_on_the_right": Case(
        rows_on_the_right, (_data(N, 2),), _SCALAR, {"z": (), "w": (2,)}, local="rows"
    ),
    "vectors": Case(vectors, (_data(N, 3),), {"weights": (3, 2)}, {"z": (2,)}),
    "multivariate": Case(multivariate, (_data(N, 2),), {"mean": (2,)}, {"z": (2,)}),
    "expanded": Case(expanded, (_data(N),), _SCALAR, {"z": ()}, plate="z"),
    "expanded_to_event": Case(expanded_to_event, (_data(N, 2),), _SCALAR, {"z": (2,)}, plate="z"),
    "several_locals": Case(
        several_locals,
        (_data(N), _SHARES),
        {"theta": (3,)},
        {"scale": (), "vector": (2,), "share": (3,)},
    ),
    "supports": Case(
        supports,
        (_data(N),),
        {
            "positive": (),
            "unit": (),
            "interval": (),
            "simplex": (2,),
            "ordered": (3,),
        },
        {"a": (), "b": (), "c": (2,), "d": (3,)},
    ),
    "several_arrays": Case(
        several_arrays,
        (_DATA, _data(3)),
        {"theta": (4,)},
        {"z": ()},
        kwargs={"weights": np.linspace(0.5, 1.5, N)},
    ),
    "factors_and_masks": Case(factors_and_masks, (_data(N), _DATA["flag"]), _SCALAR, {"z": ()}),
    "subsampled_by_index": Case(
        subsampled_by_index, (_data(N), 4), _SCALAR, {"z": ()}, whole={"batch": N}
    ),
    "subsampled": Case(subsampled, (_data(N, 2), 4), _SCALAR, {"z": ()}, whole={"batch": N}),
    "size_written_in": Case(size_written_in, (_data(N),), _SCALAR, {"z": ()}),
    "by_plate": Case(crossed, (_data(N, 3),), {"v": (3,)}, {"u": (1,)}, local="rows", plate="rows"),
    "by_site": Case(crossed, (_data(N, 3),), {"v": (3,)}, {"u": (1,)}, local="u", plate="rows"),
    "no_globals": Case(no_globals, (_data(N),), {}, {"z": ()}),
    "table_of_constants": Case(table_of_constants, (_data(N),), {"theta": (N,)}, {"z": ()}),
}
