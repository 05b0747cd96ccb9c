"""Models with verdicts derived by hand, from the terms of the log joint that hold z_n.

The rule (Margossian & Blei 2024, Theorem 3.4): the ideal factor of z_n is exp E[log p] over all the
other latents, so it depends on the data and on the units that share a term with z_n. There is one
ideal function if no term holds the locals of two units and if the terms of all units are the same
function of what they read. None of the verdicts below was copied from what the code printed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.contrib.control_flow import scan

from amortis.structure import Kind

POINTWISE, WINDOWED, GROUPED = Kind.POINTWISE, Kind.WINDOWED, Kind.GROUPED
COUPLED, HIDDEN, NO_LOCALS, UNKNOWN = Kind.COUPLED, Kind.HIDDEN, Kind.NO_LOCALS, Kind.UNKNOWN
YES = (POINTWISE, WINDOWED, GROUPED)

ALL = "at all distances"


@dataclasses.dataclass(frozen=True)
class Case:
    """A model and what mathematics says of it.

    Attributes:
        model: the NumPyro model.
        data: makes positional arguments (a tuple) or keyword arguments (a dict) for so many units.
        kind: the verdict.
        why: its derivation.
        reads: by array, what differs from one unit reading its own entry of it: `Input`'s fields.
        ties: by pair of sites, the offsets; ALL if they are unbounded; an int if there is no
            pattern but a largest distance. Empty if they are not to be looked at.
        edges: the units without all arguments; negative ones count from the end.
        also: verdicts that are no less right.
        doubt: why UNKNOWN is an honest answer as well, or the answer.
        local: what the user says holds the locals.
        sizes: numbers of units, where they are not the usual ones.
    """

    model: Callable[..., Any]
    data: Callable[[int, np.random.Generator], Any]
    kind: Kind
    why: str
    reads: Mapping[str, Mapping[str, Any]] | None = None
    ties: Mapping[tuple[str, str], Any] = dataclasses.field(default_factory=dict)
    edges: tuple[int, ...] = ()
    also: tuple[Kind, ...] = ()
    doubt: str = ""
    local: str | None = None
    plate: str | None = None
    sizes: tuple[int, ...] = ()

    def arguments(self, size: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = self.data(size, np.random.default_rng(size))
        return ((), given) if isinstance(given, dict) else (given, {})


CASES: dict[str, Case] = {}


def case(kind: Kind, data: Callable[..., Any], why: str, name: str = "", **expected: Any):
    """Enter the decorated model, under its name unless another is given."""

    def enter(model: Callable[..., Any]) -> Callable[..., Any]:
        key = name or model.__name__
        assert key not in CASES
        CASES[key] = Case(model, data, kind, why, **expected)
        return model

    return enter


# ------------------------------------------------------------------------------------------ data


def normal(count: int, g: np.random.Generator, *more: int) -> np.ndarray:
    return g.normal(size=(count, *more)).astype(np.float32)


def one(size, g):
    return (normal(size, g),)


def two(size, g):
    return normal(size, g), normal(size, g)


def longer(extra):
    return lambda size, g: (normal(size + extra, g),)


def matrix(columns):
    return lambda size, g: (normal(size, g, columns),)


def columns(rows):
    return lambda size, g: (normal(rows, g, size),)


def counts(size, g):
    return (g.poisson(3.0, size),)


def binary(size, g):
    return (g.integers(0, 2, size),)


def positive(size, g):
    return (np.exp(normal(size, g)),)


def equal(size, g):
    return (np.full(size, 0.7, np.float32),)


def ragged(size: int, g: np.random.Generator) -> np.ndarray:
    """Groups of one to five rows, interleaved."""
    return g.permutation(np.repeat(np.arange(size), g.integers(1, 6, size)))


def grouped(size, g):
    group = ragged(size, g)
    return normal(len(group), g), group, size


def grouped_without_number(size, g):
    return grouped(size, g)[:2]


def with_group(change):
    """Rows, a group index made from the number of groups, and the number of groups."""

    def data(size, g):
        group = change(size, g)
        return normal(len(group), g), group, size

    return data


# ------------------------------------------------------------------------------------- pieces


def N(mean=0.0, sd=1.0):
    return dist.Normal(jnp.asarray(mean, jnp.float32), sd)


def sample(name, law, obs=None):
    return numpyro.sample(name, law, obs=obs)


def rows(count, name="rows", dim=None):
    return numpyro.plate(name, count, dim=dim)


def own_constants(size):
    """One constant per row that nobody passes as data."""
    return np.random.default_rng(5).uniform(0.5, 2.0, size).astype(np.float32)


def locals_of(count, mean=0.0, sd=1.0):
    with rows(count):
        return sample("z", N(mean, sd))


def chain(z, sd=1.0, lag=1):
    """A prior under which z is a random walk in steps of `lag`."""
    numpyro.factor("chain", N(z[:-lag], sd).log_prob(z[lag:]).sum())


SELF = ("z", "z")
NEXT: dict[str, Any] = {"ties": {SELF: (-1, 1)}}
EVERY: dict[str, Any] = {"ties": {SELF: ALL}}
X: dict[str, Any] = {"reads": {"x": {}}}
Y: dict[str, Any] = {"reads": {"y": {}}}
XG: dict[str, Any] = {"reads": {"x": {"index": "group"}}}


# --------------------------------------------------------------- pointwise: kinds of likelihood


@case(POINTWISE, one, "z_n is in N(z_n; θ, 1) and N(x_n; z_n, 2) only", **X)
def linear(x):
    theta = sample("theta", N(0.0, 10.0))
    with rows(x.shape[0]):
        z = sample("z", N(theta, 1.0))
        sample("x", N(z, 2.0), x)


@case(POINTWISE, one, "the mean is a nonlinear function of z_n alone; the terms are as before", **X)
def nonlinear(x):
    theta = sample("theta", N())
    with rows(x.shape[0]):
        z = sample("z", N())
        sample("x", N(jnp.tanh(theta * z) + z**2, 0.5), x)


@case(POINTWISE, counts, "z_n is in its prior and Poisson(x_n; exp(θ + z_n))", **X)
def poisson(x):
    theta = sample("theta", N())
    z = locals_of(x.shape[0])
    sample("x", dist.Poisson(jnp.exp(theta + z)), x)


@case(POINTWISE, binary, "z_n is in its prior and Bernoulli(x_n; z_n)", **X)
def bernoulli(x):
    theta = sample("theta", N())
    with rows(x.shape[0]):
        z = sample("z", N(theta, 1.0))
        sample("x", dist.Bernoulli(logits=z), x)


@case(
    POINTWISE,
    lambda size, g: (g.integers(0, 3, size),),
    "z_n is in its prior and the log probability of category x_n",
    **X,
)
def categorical(x):
    slope = sample("slope", N(jnp.zeros(3)).to_event(1))
    with rows(x.shape[0]):
        z = sample("z", N())
        sample("x", dist.Categorical(logits=z[:, None] * slope), x)


@case(
    POINTWISE,
    lambda size, g: (g.integers(0, 4, size), np.full(size, 4) + g.integers(0, 3, size)),
    "Binomial(y_n; m_n, z_n): z_n's term holds both the count and the number of trials",
    reads={"y": {}, "m": {}},
)
def binomial(y, m):
    theta = sample("theta", N())
    with rows(y.shape[0]):
        z = sample("z", N(theta, 1.0))
        sample("y", dist.Binomial(total_count=m, logits=z), y)


@case(POINTWISE, positive, "z_n > 0 is in its prior and Gamma(x_n; 2, z_n)", **X)
def gamma(x):
    shape = sample("shape", dist.Gamma(2.0, 1.0))
    with rows(x.shape[0]):
        z = sample("z", dist.LogNormal(0.0, shape))
        sample("x", dist.Gamma(2.0, z), x)


@case(POINTWISE, one, "z_n is in its prior and StudentT(x_n; z_n)", **X)
def student(x):
    scale = sample("scale", dist.HalfNormal(1.0))
    with rows(x.shape[0]):
        z = sample("z", N())
        sample("x", dist.StudentT(4.0, z, scale), x)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), g.integers(0, 2, size) > 0),
    "a row is either log pdf or log survival at x_n, as censored_n says: both are row n's",
    reads={"x": {}, "censored": {}},
)
def censored(x, censored):
    z = locals_of(x.shape[0], sample("theta", N()))
    law = N(z, 1.0)
    beyond = jnp.log1p(-law.cdf(x) + 1e-6)
    numpyro.factor("x", jnp.where(censored, beyond, law.log_prob(x)).sum())


@case(POINTWISE, one, "the precision w_n of row n is in Gamma(w_n) and N(x_n; μ, w_n^-1/2)", **X)
def scale_mixture(x):
    mean = sample("mean", N())
    with rows(x.shape[0]):
        w = sample("w", dist.Gamma(2.0, 2.0))
        sample("x", N(mean, w**-0.5), x)


@case(POINTWISE, one, "nested logsumexp over two components of x_n's law, z_n in both", **X)
def mixture_likelihood(x):
    theta = sample("theta", N())
    z = locals_of(x.shape[0])
    parts = jnp.stack([N(z, 1.0).log_prob(x), N(theta - z, 2.0).log_prob(x)])
    numpyro.factor("x", jax.nn.logsumexp(parts, axis=0).sum())


# -------------------------------------------------------------------- pointwise: kinds of locals


@case(POINTWISE, matrix(3), "the vector z_n is in its prior and row n of x given W z_n", **X)
def vectors(x):
    weights = sample("weights", N(jnp.zeros((3, 2))).to_event(2))
    with rows(x.shape[0]):
        z = sample("z", N(jnp.zeros(2)).to_event(1))
        sample("x", N(z @ weights.T, 0.5).to_event(1), x)


@case(POINTWISE, matrix(3), "z_n is a correlated vector, but correlated with itself only", **X)
def correlated_vectors(x):
    scale = sample("scale", dist.LKJCholesky(3, 2.0))
    with rows(x.shape[0]):
        z = sample("z", dist.MultivariateNormal(jnp.zeros(3), scale_tril=scale))
        sample("x", N(z, 0.5).to_event(1), x)


@case(POINTWISE, one, "w_n is in its prior with z_n and in x_n's; both are unit n's", **X)
def two_sites(x):
    theta = sample("theta", N())
    with rows(x.shape[0]):
        z = sample("z", N(theta, 1.0))
        w = sample("w", N(z, 1.0))
        sample("x", N(w + 0.1 * z, 0.5), x)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), g.dirichlet(np.ones(3), size).astype(np.float32)),
    "a, b, c are three locals of one row, each with a term of its own data",
    reads={"x": {}, "share": {}},
)
def constrained(x, share):
    rate = sample("rate", dist.Gamma(2.0, 1.0))
    with rows(x.shape[0]):
        a = sample("a", dist.HalfNormal(rate))
        b = sample("b", dist.Beta(2.0, 3.0))
        c = sample("c", dist.Dirichlet(jnp.ones(3)))
        sample("x", N(b, 0.1 + a), x)
        sample("share", dist.Dirichlet(1.0 + 5.0 * c), share)


@case(
    POINTWISE,
    lambda size, g: (g.multinomial(30, np.ones(5) / 5, size),),
    "topic model: the document's shares z_n are in Dirichlet(z_n) and row n of the counts",
    reads={"words": {}},
)
def topics(words):
    with rows(3, "topics"):
        topic = sample("topic", dist.Dirichlet(jnp.ones(5)))
    with rows(words.shape[0], "documents"):
        share = sample("share", dist.Dirichlet(jnp.ones(3)))
        numpyro.factor("words", (words * jnp.log(share @ topic)).sum(-1))


@case(POINTWISE, one, "z_n is in N(z_n; θ, τ) and x_n's term", **X)
def hierarchy_centred(x):
    theta, tau = sample("theta", N()), sample("tau", dist.HalfNormal(1.0))
    with rows(x.shape[0]):
        z = sample("z", N(theta, tau))
        sample("x", N(z, 1.0), x)


@case(POINTWISE, one, "e_n is in N(e_n; 0, 1) and N(x_n; θ + τ e_n, 1): the same graph", **X)
def hierarchy_not_centred(x):
    theta, tau = sample("theta", N()), sample("tau", dist.HalfNormal(1.0))
    with rows(x.shape[0]):
        e = sample("e", N())
        sample("x", N(theta + tau * e, 1.0), x)


# ------------------------------------------------------------------- pointwise: kinds of spelling


@case(POINTWISE, one, "the same law as in a plate, in one event", **X)
def one_event(x):
    z = sample("z", N(jnp.zeros(x.shape[0])).to_event(1))
    sample("x", N(z, 0.5).to_event(1), x)


@case(POINTWISE, one, "the same law as in a plate, expanded", **X)
def expanded(x):
    z = sample("z", N(sample("theta", N()), 1.0).expand([x.shape[0]]))
    sample("x", N(z, 0.5), x)


@case(POINTWISE, one, "each step draws its own z_t from one law: no carry, no tie", **X)
def independent_steps(x):
    theta = sample("theta", N())

    def step(carry, x_t):
        z = sample("z", N(theta, 1.0))
        sample("x", N(z, 0.5), x_t)
        return carry, None

    scan(step, jnp.zeros(()), x)


@case(
    POINTWISE, one, "the likelihood is a sum of N factors that hold one z_n and one x_n each", **X
)
def factors_only(x):
    z = sample("z", dist.ImproperUniform(dist.constraints.real, (x.shape[0],), ()))
    numpyro.factor("all", -jnp.sum(z**2 + (x - z) ** 2 + 0.1 * z**4))


@case(
    POINTWISE, one, "vmap and a custom gradient change how terms are computed, not what is in", **X
)
def custom_gradient(x):
    @jax.custom_vjp
    def log_likelihood(z, x):
        return -0.5 * (x - z) ** 2 - 0.1 * z**4

    def forward(z, x):
        return log_likelihood(z, x), (z, x)

    def backward(kept, weight):
        z, x = kept
        return weight * (x - z - 0.4 * z**3), weight * (z - x)

    log_likelihood.defvjp(forward, backward)
    z = locals_of(x.shape[0], sample("theta", N()))
    numpyro.factor("x", jax.vmap(log_likelihood)(z, x).sum())


@case(POINTWISE, one, "gathered backwards and put back: z_n still meets x_n only", **X)
def gathered_twice(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    back = jnp.arange(x.shape[0])[::-1]
    sample("x", N(z[back], 0.5), x[back])


@case(
    POINTWISE,
    one,
    "the sum of the first n minus the sum of the first n - 1 is z_n",
    doubt="in floating point the sums do not cancel",
    **X,
)
def sums_that_cancel(x):
    z = locals_of(x.shape[0])
    total = jnp.cumsum(z)
    sample("x", N(total - jnp.concatenate([jnp.zeros(1), total[:-1]]), 0.5), x)


@case(
    POINTWISE,
    one,
    "the inverse of the Fourier transform gives z back",
    doubt="in floating point the transforms do not cancel",
    **X,
)
def transforms_that_cancel(x):
    z = locals_of(x.shape[0])
    sample("x", N(jnp.fft.ifft(jnp.fft.fft(z)).real, 0.5), x)


@case(POINTWISE, lambda s, g: (normal(s, g), 4), "a subsampled plate stands for all its rows", **X)
def subsampled(x, batch):
    theta = sample("theta", N())
    with numpyro.plate("rows", x.shape[0], subsample_size=batch):
        part = numpyro.subsample(x, event_dim=0)
        z = sample("z", N(theta, 1.0))
        sample("x", N(z, 0.5), part)


@case(POINTWISE, lambda s, g: (normal(s, g), 4), "the same by the plate's index", **X)
def subsampled_by_index(x, batch):
    theta = sample("theta", N())
    with numpyro.plate("rows", x.shape[0], subsample_size=batch) as index:
        z = sample("z", N(theta, 1.0))
        sample("x", N(z, 0.5), x[index])


# ----------------------------------------------------------------------- pointwise: kinds of data


@case(
    POINTWISE,
    lambda size, g: {"y": normal(size, g), "w": normal(size, g, 2), "m": g.poisson(2.0, size)},
    "three likelihood terms of row n hold z_n",
    reads={"y": {}, "w": {}, "m": {}},
)
def several_arrays(y, w, m):
    with rows(y.shape[0]):
        z = sample("z", N(sample("theta", N()), 1.0))
        sample("y", N(z, 0.5), y)
        sample("w", N(z[:, None] * jnp.array([1.0, 2.0]), 1.0).to_event(1), w)
        sample("m", dist.Poisson(jnp.exp(z)), m)


@case(
    POINTWISE,
    lambda size, g: ({"y": normal(size, g), "c": normal(size, g)},),
    "z_n's likelihood holds y_n and the covariate c_n",
    reads={"data['y']": {}, "data['c']": {}},
)
def dictionary(data):
    slope = sample("slope", N())
    z = locals_of(data["y"].shape[0])
    sample("y", N(z + slope * data["c"], 0.5), data["y"])


@case(
    POINTWISE,
    lambda size, g: (normal(size, g, 4), normal(size, g)),
    "row n of the covariates and y_n are in z_n's term; the weights are globals",
    reads={"c": {}, "y": {}},
)
def regression_with_noise_of_rows(c, y):
    weights = sample("weights", N(jnp.zeros(4)).to_event(1))
    with rows(y.shape[0]):
        z = sample("z", N())
        sample("y", N(c @ weights + z, 0.5), y)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), g.integers(0, 4, size)),
    "z_n's prior holds θ of region_n: of data, x_n and region_n",
    reads={"x": {}, "region": {}},
)
def global_of_the_row(x, region):
    theta = sample("theta", N(jnp.zeros(4)).to_event(1))
    with rows(x.shape[0]):
        z = sample("z", N(theta[region], 1.0))
        sample("x", N(z, 0.5), x)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), g.integers(0, 3, size) > 0),
    "the mask is an array of data: z_n's term holds x_n and keep_n",
    reads={"x": {}, "keep": {}},
)
def masked(x, keep):
    theta = sample("theta", N())
    with rows(x.shape[0]):
        z = sample("z", N(theta, 1.0))
        with numpyro.handlers.mask(mask=keep):
            sample("x", N(z, 0.5), x)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), np.abs(normal(size, g)) + 0.1),
    "z_n's likelihood has weight_n, an array of data",
    reads={"x": {}, "weight": {}},
)
def weighted(x, weight):
    z = locals_of(x.shape[0], sample("theta", N()))
    with numpyro.handlers.scale(scale=weight), rows(x.shape[0]):
        sample("x", N(z, 0.5), x)


@case(POINTWISE, one, "z_n's term holds x_n through 1[x_n > 0]", **X)
def by_comparison(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    numpyro.factor("x", jnp.where(x > 0.0, jax.nn.log_sigmoid(z), jax.nn.log_sigmoid(-z)).sum())


@case(POINTWISE, one, "z_n's term holds x_n through its rounded value", **X)
def by_rounding(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z, 0.5), jnp.round(2.0 * x))


@case(POINTWISE, equal, "equal data change nothing: z_n's term still holds x_n", **X)
def equal_rows(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z, 0.5), x)


@case(POINTWISE, two, "no term holds `spare`; it is an argument that nobody reads", **X)
def unused(x, spare):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z, 0.5), x)


@case(
    POINTWISE,
    one,
    "the mean is in θ's prior alone; z_n's terms hold θ, and x_n: no derivative in z_n and x_m",
    **X,
)
def summary_for_a_global(x):
    theta = sample("theta", N(x.mean(), 1.0))
    with rows(x.shape[0]):
        z = sample("z", N(theta, 1.0))
        sample("x", N(z, 0.5), x)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), np.float32(0.3)),
    "a number that all terms share is the same for each unit: f may know it",
    **X,
)
def summary_passed(x, center):
    z = locals_of(x.shape[0], center)
    sample("x", N(z, 0.5), x)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), normal(7, g)),
    "all units share the seven reference values, which belong to no unit: f may know them",
    **X,
)
def shared_references(x, references):
    z = locals_of(x.shape[0], references.mean())
    sample("x", N(z, 0.5), x)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g, 5), np.linspace(0.0, 1.0, 5, dtype=np.float32)),
    "curve n at common times: z_n's term holds row n of y, and the times that all units share",
    **Y,
)
def curves(y, times):
    with rows(y.shape[0]):
        z = sample("z", N(jnp.zeros(2)).to_event(1))
        sample("y", N(z[:, :1] + z[:, 1:] * times, 0.5).to_event(1), y)


@case(
    POINTWISE,
    lambda size, g: (normal(5, g, size), np.linspace(0.0, 1.0, 5, dtype=np.float32)),
    "the same curves, each a column of y",
    reads={"y": {"axis": 1}},
)
def curves_in_columns(y, times):
    with rows(y.shape[1]):
        z = sample("z", N())
        numpyro.factor("y", N(z * times[:, None], 0.5).log_prob(y).sum(0))


@case(
    POINTWISE,
    lambda size, g: (normal(size, g, 4), g.integers(1, 5, size)),
    "row n of y is padded after length_n: z_n's term holds that row and its length",
    reads={"y": {}, "length": {}},
)
def padded(y, length):
    z = locals_of(y.shape[0], sample("theta", N()))
    there = jnp.arange(4) < length[:, None]
    numpyro.factor("y", jnp.where(there, N(z[:, None], 1.0).log_prob(y), 0.0).sum())


@case(
    POINTWISE,
    lambda size, g: (g.integers(0, 4, size),),
    "the number of categories is counted in the model, and z_n's likelihood holds y_n",
    doubt="its values are needed while it is traced, so they cannot be moved",
    **Y,
)
def categories_counted(y):
    slope = sample("slope", N(jnp.zeros(int(y.max()) + 1)).to_event(1))
    with rows(y.shape[0]):
        z = sample("z", N())
        sample("y", dist.Categorical(logits=z[:, None] * slope), y)


# ----------------------------------------------------------------------- pointwise: kinds of layout


@case(POINTWISE, matrix(3), "z_n's three observations are row n of y", **Y)
def matrix_rows(y):
    with rows(y.shape[0], dim=-2):
        z = sample("z", N())
        with rows(y.shape[1], "columns", dim=-1):
            sample("y", N(z, 1.0), y)


@case(POINTWISE, columns(3), "z_n's three observations are column n", reads={"y": {"axis": 1}})
def matrix_columns(y):
    with rows(y.shape[1], dim=-1):
        z = sample("z", N())
        with rows(y.shape[0], "repeats", dim=-2):
            sample("y", N(z, 1.0), y)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g, size),),
    "a square matrix; z_n meets column n",
    reads={"y": {"axis": 1}},
)
def square_columns(y):
    with rows(y.shape[1], dim=-1):
        z = sample("z", N(sample("theta", N()), 1.0))
        sample("y", dist.Normal(z, 1.0).expand(y.shape).mask(True), y)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g, 3, 2),),
    "an image of three by two per unit",
    reads={"image": {}},
)
def images(image):
    z = locals_of(image.shape[0], sample("theta", N()))
    sample("image", N(z[:, None, None], 1.0), image)


@case(POINTWISE, matrix(3), "nested: u_j and the z_jk of its row make up unit j", **Y)
def nested_in_a_matrix(y):
    with rows(y.shape[0], dim=-2):
        u = sample("u", N())
        with rows(y.shape[1], "columns", dim=-1):
            z = sample("z", N(u, 1.0))
            sample("y", N(z, 0.5), y)


@case(
    POINTWISE,
    lambda size, g: (normal(size, g), np.arange(size) % 5),
    "z_n is in N(z_n; u_group, 1) and x_n's term; u is another latent, which group_n picks",
    reads={"x": {}, "group": {}},
)
def nested_in_rows(x, group):
    with rows(5, "groups"):
        u = sample("u", N())
    with rows(x.shape[0]):
        z = sample("z", N(u[group], 1.0))
        sample("x", N(z, 0.5), x)


@case(
    POINTWISE,
    lambda size, g: (g.integers(0, 2, (size, 5)),),
    "item response: z_n is in its prior and in the 5 answers of row n with the items' latents",
    plate="subjects",
    **Y,
)
def crossed(y):
    subjects, items = rows(y.shape[0], "subjects", dim=-2), rows(y.shape[1], "items", dim=-1)
    with subjects:
        z = sample("z", N())
    with items:
        hard = sample("hard", N())
    with subjects, items:
        sample("y", dist.Bernoulli(logits=z - hard), y)


@case(
    POINTWISE,
    lambda size, g: (g.integers(0, 2, (size, 5)),),
    "the items, asked for by name: hard_k is in its prior and in column k with the subjects'",
    reads={"y": {"axis": 1}},
    local="items",
    plate="items",
    name="crossed_by_items",
)
def crossed_by_items(y):
    crossed(y)


@case(
    POINTWISE,
    matrix(100),
    "x_nd given z_n w_d: units of the declared plate are rows; w is a vector, which no plate holds",
    plate="rows",
    **X,
)
def more_columns_than_rows(x):
    w = sample("w", N(jnp.zeros(x.shape[1])).to_event(1))
    with rows(x.shape[0]):
        z = sample("z", N())
        sample("x", N(z[:, None] * w, 0.5).to_event(1), x)


@case(POINTWISE, two, "two plates that share no term; the first is the local one", **X)
def two_plates(x, y):
    with rows(x.shape[0]):
        z = sample("z", N(sample("theta", N()), 1.0))
        sample("x", N(z, 0.5), x)
    with rows(y.shape[0], "others"):
        w = sample("w", N())
        sample("y", N(w, 0.5), y)


@case(
    POINTWISE, one, "the N entries of θ are globals that z_n's terms share through their sum", **X
)
def table_of_globals(x):
    theta = sample("theta", N(jnp.zeros(x.shape[0])).to_event(1))
    with rows(x.shape[0]):
        z = sample("z", N(theta.sum(), 1.0))
        sample("x", N(z, 0.5), x)


@case(POINTWISE, longer(1), "z_n meets x_n; the last entry belongs to nobody", **X)
def one_row_left_over(x):
    z = locals_of(x.shape[0] - 1, sample("theta", N()))
    sample("x", N(z, 0.5), x[:-1])


@case(POINTWISE, one, "two units are enough for a comparison", sizes=(2,), **X, name="two_units")
def two_units(x):
    linear(x)


# ------------------------------------------------------------------------------------- windowed


def window(*offsets, name="x", **more):
    return {"reads": {name: {"offsets": offsets, **more}}}


@case(WINDOWED, one, "x_n given z_n and x_{n-1}: data beside data", **window(-1, 0), edges=(0,))
def lagged_data(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z[1:] + 0.5 * x[:-1], 0.5), x[1:])
    sample("first", N(z[0], 0.5), x[0])


@case(
    WINDOWED,
    one,
    "x_n given z_n, x_{n-1} and x_{n-2}",
    edges=(0, 1),
    **window(-2, -1, 0),
)
def lagged_twice(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    before = jnp.concatenate([jnp.zeros(2), x])
    sample("x", N(z * before[1:-1] + 0.3 * before[:-2], 0.5), x)


@case(
    WINDOWED,
    one,
    "z_n is in a term with x_n and in one with x_{n-7}",
    **window(-7, 0),
    edges=tuple(range(7)),
)
def lagged_by_a_week(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("now", N(z, 0.5), x)
    sample("then", N(2.0 * z[7:], 1.0), x[:-7])


@case(WINDOWED, longer(1), "z_n is seen in x_n and in x_{n+1}, by a term each", **window(0, 1))
def seen_twice(x):
    z = locals_of(x.shape[0] - 1, sample("theta", N()))
    sample("left", N(z, 0.5), x[:-1])
    sample("right", N(z, 1.0), x[1:])


@case(
    WINDOWED,
    longer(-1),
    "N - 1 entries between N units: z_n is seen in x_{n-1} and x_n, the ends in one of them",
    edges=(0, -1),
    **window(-1, 0),
)
def seen_between(x):
    z = locals_of(x.shape[0] + 1, sample("theta", N()))
    sample("left", N(z[:-1], 0.5), x)
    sample("right", N(z[1:], 1.0), x)


@case(WINDOWED, longer(1), "z_n is seen in x_{n+1} alone", **window(1))
def seen_later(x):
    z = locals_of(x.shape[0] - 1, sample("theta", N()))
    sample("x", N(z, 0.5), x[1:])


@case(
    WINDOWED,
    lambda size, g: (normal(2 * size + 1, g),),
    "z_n is in terms with x_2n, x_{2n+1} and x_{2n+2}; neighbors share an entry of the data only",
    **window(0, 1, 2, stride=2),
)
def strides_that_overlap(x):
    z = locals_of(x.shape[0] // 2, sample("theta", N()))
    sample("first", N(z, 1.0), x[0:-1:2])
    sample("middle", N(z, 0.5), x[1::2])
    sample("last", N(z, 1.0), x[2::2])


@case(
    WINDOWED,
    two,
    "z_n is seen in x_n, and its prior holds the covariate c at n - 1, n and n + 1",
    reads={"x": {}, "c": {"offsets": (-1, 0, 1)}},
    edges=(0, -1),
)
def smoothed_covariate(x, c):
    around = jnp.convolve(c, jnp.array([0.2, 0.5, 0.3]), mode="same")
    z = locals_of(x.shape[0], sample("slope", N()) * around)
    sample("x", N(z, 0.5), x)


@case(
    WINDOWED,
    one,
    "z_n's prior holds 1[x_n > x_{n-1}]",
    **window(-1, 0),
    edges=(0,),
    doubt="a comparison shows only where it flips",
)
def compared_with_the_last(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    rises = jnp.concatenate([jnp.zeros(1), jnp.where(x[1:] > x[:-1], 1.0, -1.0)])
    sample("x", N(z * rises, 0.5), jnp.ones(x.shape[0]))


@case(
    WINDOWED,
    columns(3),
    "column n of y given z_n and column n - 1",
    reads={"y": {"axis": 1, "offsets": (-1, 0)}},
    edges=(0,),
    doubt="windows are looked for along the first axis",
)
def lagged_columns(y):
    z = locals_of(y.shape[1], sample("theta", N()))
    before = jnp.concatenate([jnp.zeros((3, 1)), y[:, :-1]], axis=1)
    sample("y", N(z + 0.5 * before, 0.5), y)


@case(
    WINDOWED,
    one,
    "a constant of its own at the last unit, which lacks x_{n+1} and is free anyhow",
    edges=(-1,),
    **window(0, 1),
)
def constant_at_the_edge(x):
    size = x.shape[0]
    z = locals_of(size, jnp.where(jnp.arange(size) == size - 1, 3.0, 0.0))
    sample("now", N(z, 0.5), x)
    sample("next", N(2.0 * z[:-1], 1.0), x[1:])


# -------------------------------------------------------------------------------------- grouped


@case(GROUPED, grouped, "z_j is in its prior and the terms of the rows with group = j", **XG)
def groups(x, group, number):
    theta = sample("theta", N())
    with rows(number, "groups"):
        z = sample("z", N(theta, 1.0))
    with rows(x.shape[0]):
        sample("x", N(z[group], 0.5), x)


@case(GROUPED, grouped_without_number, "the same; the number is counted in the model", **XG)
def groups_counted(x, group):
    groups(x, group, int(group.max()) + 1)


def _group_data(name, change, why, base=0):
    shift = {"index": "group"} | ({"base": base} if base else {})
    case(GROUPED, with_group(change), why, name=name, reads={"x": shift})(
        (lambda x, group, number: groups(x, group - 1, number)) if base else groups
    )


_group_data("groups_sorted", lambda s, g: np.sort(ragged(s, g)), "sorted rows are the same sets")
_group_data("groups_in_turn", lambda s, g: np.arange(3 * s) % s, "rows n, n + J, n + 2J are a set")
_group_data(
    "groups_of_equal_size", lambda s, g: np.repeat(np.arange(s), 3), "three rows each, in blocks"
)
_group_data(
    "group_without_rows",
    lambda s, g: np.array([k for k in ragged(s, g) if k != s // 2]),
    "a unit without rows has its prior alone, which is f of the empty set",
)
_group_data(
    "groups_of_one", lambda s, g: g.permutation(s), "sets of one row, in an order that group gives"
)
_group_data("groups_from_one", lambda s, g: ragged(s, g) + 1, "indices from one", base=1)
_group_data(
    "last_group_without_rows",
    lambda s, g: np.array([k for k in ragged(s, g) if k != s - 1]) + 1,
    "indices from one; the last group is empty, so that all of them would do from zero",
    base=1,
)
case(
    GROUPED,
    with_group(lambda s, g: np.arange(s)),
    "sets of one row each, in order: z_n meets x_n",
    name="groups_of_one_in_order",
    also=(POINTWISE,),
)(groups)


@case(
    GROUPED,
    lambda s, g: (*grouped(s, g), normal(s, g)),
    "z_j's prior holds w_j, its likelihood the set of rows",
    reads={"x": {"index": "group"}, "w": {}},
)
def group_covariate(x, group, number, w):
    slope = sample("slope", N())
    with rows(number, "groups"):
        z = sample("z", N(slope * w, 1.0))
    sample("x", N(z[group], 0.5), x)


@case(
    GROUPED,
    lambda s, g: (*grouped(s, g), normal(s, g)),
    "z_j's prior holds w_j and w_{j-1}, its likelihood the set of rows",
    reads={"x": {"index": "group"}, "w": {"offsets": (-1, 0)}},
    edges=(0,),
)
def lagged_group_covariate(x, group, number, w):
    before = jnp.concatenate([jnp.zeros(1), w[:-1]])
    with rows(number, "groups"):
        z = sample("z", N(w + 0.5 * before, 1.0))
    sample("x", N(z[group], 0.5), x)


def _with_times(s, g):
    x, group, number = grouped(s, g)
    return x, normal(len(x), g), group, number


@case(
    GROUPED,
    _with_times,
    "random slopes: the term of row r holds z of its group, x_r and t_r",
    reads={"x": {"index": "group"}, "t": {"index": "group"}},
)
def random_slopes(x, t, group, number):
    with rows(number, "groups"):
        z = sample("z", N(jnp.zeros(2)).to_event(1))
    of_row = z[group]
    sample("x", N(of_row[:, 0] + of_row[:, 1] * t, 0.5), x)


def _with_integers(draw):
    def data(s, g):
        group = ragged(s, g)
        return draw(len(group), g), group, s

    return data


@case(
    GROUPED,
    _with_integers(lambda r, g: g.integers(0, 2, r)),
    "binary rows in groups",
    **XG,
)
def groups_binary(x, group, number):
    z = locals_of(number, sample("theta", N()))
    sample("x", dist.Bernoulli(logits=z[group]), x)


@case(
    GROUPED,
    _with_integers(lambda r, g: g.integers(0, 3, r)),
    "categories in groups",
    **XG,
)
def groups_categorical(x, group, number):
    z = locals_of(number, sample("theta", N()))
    sample("x", dist.Categorical(logits=z[group][:, None] * jnp.array([-1.0, 0.0, 1.0])), x)


@case(
    GROUPED,
    lambda s, g: _with_integers(lambda r, g: g.poisson(3.0, r))(s, g)[:2],
    "counts in groups; the number of groups is counted in the model, and x is data all the same",
    **XG,
)
def counts_in_counted_groups(x, group):
    z = locals_of(int(group.max()) + 1, sample("theta", N()))
    sample("x", dist.Poisson(jnp.exp(z[group])), x)


@case(GROUPED, grouped, "z_j's prior holds the mean of its own rows: still the set", **XG)
def group_means(x, group, number):
    count = jnp.zeros(number).at[group].add(1.0) + 1.0
    mean = jnp.zeros(number).at[group].add(x) / count
    z = locals_of(number, mean)
    sample("x", N(z[group], 0.5), x)


@case(GROUPED, grouped, "each row's factor holds one z: the one of its group", **XG)
def group_sums(x, group, number):
    z = locals_of(number, sample("theta", N()))
    total = jax.ops.segment_sum(-0.5 * (x - z[group]) ** 2, group, number)
    numpyro.factor("x", total.sum())


@case(
    GROUPED,
    lambda s, g: (normal(2 * s, g),),
    "rows 2n and 2n + 1 are z_n's, in blocks",
    reads={"x": {"stride": 2, "offsets": (0, 1)}},
)
def blocks(x):
    z = locals_of(x.shape[0] // 2, sample("theta", N()))
    sample("x", N(jnp.repeat(z, 2), 0.5), x)


@case(
    GROUPED,
    lambda s, g: (normal(2 * s, g),),
    "the same rows by strides",
    reads={"x": {"stride": 2, "offsets": (0, 1)}},
)
def even_and_odd(x):
    z = locals_of(x.shape[0] // 2, sample("theta", N()))
    sample("even", N(z, 0.5), x[0::2])
    sample("odd", N(z, 0.5), x[1::2])


@case(
    WINDOWED,
    lambda s, g: (normal(2 * s, g),),
    "x_2n and x_{2n+1} have different laws: f of the pair, not of the set",
    reads={"x": {"stride": 2, "offsets": (0, 1)}},
    also=(GROUPED,),
)
def even_and_odd_differ(x):
    z = locals_of(x.shape[0] // 2, sample("theta", N()))
    sample("even", N(z, 0.5), x[0::2])
    sample("odd", N(3.0 * z**2, 2.0), x[1::2])


@case(
    GROUPED,
    lambda s, g: (normal(2 * s + 1, g),),
    "blocks of two; the last row belongs to nobody",
    reads={"x": {"stride": 2, "offsets": (0, 1)}},
)
def blocks_and_one_row(x):
    z = locals_of(x.shape[0] // 2, sample("theta", N()))
    sample("x", N(z[:, None], 0.5), x[:-1].reshape(-1, 2))


@case(
    GROUPED,
    lambda s, g: (normal(3 * s, g, 2),),
    "three rows of a matrix per unit",
    reads={"x": {"stride": 3, "offsets": (0, 1, 2)}},
)
def blocks_of_matrix_rows(x):
    z = locals_of(x.shape[0] // 3, sample("theta", N()))
    sample("x", N(jnp.repeat(z, 3)[:, None], 0.5), x)


def _answers(every):
    def data(s, g):
        subject, item = (a.ravel() for a in np.divmod(np.arange(5 * s), 5))
        kept = g.permutation(5 * s)[: 5 * s if every else 2 * s]
        return g.integers(0, 2, len(kept)), subject[kept], item[kept], s

    return data


@case(
    GROUPED,
    _answers(True),
    "item response in long form: z_s is in the rows of subject s, each with y_r and item_r",
    reads={"y": {"index": "subject"}, "item": {"index": "subject"}},
    plate="subjects",
)
def answers(y, subject, item, number):
    with rows(number, "subjects"):
        z = sample("z", N())
    with rows(5, "items"):
        hard = sample("hard", N())
    sample("y", dist.Bernoulli(logits=z[subject] - hard[item]), y)


case(
    GROUPED,
    _answers(False),
    "the same with some answers missing",
    name="answers_missing",
    reads={"y": {"index": "subject"}, "item": {"index": "subject"}},
    plate="subjects",
    doubt="each item's latent touches some subjects only, as that of a group of units would",
)(answers)


# -------------------------------------------------------------------------- coupled: in a line


@case(COUPLED, one, "N(z_n; z_{n-1}, τ) holds two locals", **NEXT)
def random_walk(x):
    tau = sample("tau", dist.HalfNormal(1.0))
    z = sample("z", dist.GaussianRandomWalk(tau, num_steps=x.shape[0]))
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "the same law, step by step", **NEXT)
def random_walk_scanned(x):
    tau = sample("tau", dist.HalfNormal(1.0))

    def step(last, x_t):
        z = sample("z", N(last, tau))
        sample("x", N(z, 0.5), x_t)
        return z, None

    scan(step, jnp.zeros(()), x)


@case(COUPLED, one, "the same law, as a factor over a plate of flat locals", **NEXT)
def random_walk_in_a_plate(x):
    with rows(x.shape[0]):
        z = sample("z", dist.ImproperUniform(dist.constraints.real, (), ()))
    chain(z)
    sample("x", N(z, 0.5), x)


@case(
    COUPLED,
    one,
    "x_m holds the increments up to m: e_n and e_m meet in all x after both",
    ties={("e", "e"): ALL},
)
def random_walk_of_increments(x):
    with rows(x.shape[0]):
        e = sample("e", N())
    sample("x", N(jnp.cumsum(e), 0.5), x)


@case(COUPLED, one, "N(z_n; ρ z_{n-1}, 1) holds two locals", **NEXT)
def autoregression(x):
    rho = sample("rho", dist.Uniform(-0.9, 0.9))
    with rows(x.shape[0]):
        z = sample("z", dist.ImproperUniform(dist.constraints.real, (), ()))
    numpyro.factor("prior", N(rho * jnp.concatenate([jnp.zeros(1), z[:-1]])).log_prob(z).sum())
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "N(z_n; a z_{n-1} + b z_{n-2}, 1) holds three", ties={SELF: (-2, -1, 1, 2)})
def autoregression_of_two(x):
    a, b = sample("a", N(0.0, 0.3)), sample("b", N(0.0, 0.3))

    def step(carry, x_t):
        z = sample("z", N(a * carry[0] + b * carry[1]))
        sample("x", N(z, 0.5), x_t)
        return (z, carry[0]), None

    scan(step, (jnp.zeros(()), jnp.zeros(())), x)


@case(COUPLED, matrix(2), "Gaussian states: z_n given A z_{n-1}; the rows do not help", **NEXT)
def states(x):
    def step(last, x_t):
        z = sample("z", N(last @ jnp.array([[0.8, 0.3], [-0.3, 0.8]]), 0.5).to_event(1))
        sample("x", N(z, 0.5).to_event(1), x_t)
        return z, None

    scan(step, jnp.zeros(2), x)


@case(COUPLED, one, "log variances in a line: N(z_n; φ z_{n-1}, σ)", **NEXT)
def stochastic_volatility(x):
    z = sample("z", dist.GaussianRandomWalk(0.3, num_steps=x.shape[0]))
    sample("x", N(0.0, jnp.exp(0.5 * z)), x)


@case(COUPLED, one, "N(z_n; z_{n-7}, 1): a week back and a week ahead", ties={SELF: (-7, 7)})
def seasonal(x):
    z = locals_of(x.shape[0])
    chain(z, 1.0, lag=7)
    sample("x", N(z, 0.5), x)


@case(
    COUPLED,
    one,
    "w_n is given z_{n-1}: different sites of neighbors",
    ties={("z", "w"): (1,), ("w", "z"): (-1,)},
)
def other_sites(x):
    with rows(x.shape[0]):
        z = sample("z", N())
        w = sample("w", N())
    numpyro.factor("tie", N(z[:-1], 1.0).log_prob(w[1:]).sum())
    sample("x", N(z + w, 0.5), x)


@case(COUPLED, matrix(2), "the first entry of the vector walks, the second does not", **NEXT)
def one_entry_walks(x):
    with rows(x.shape[0]):
        z = sample("z", N(jnp.zeros(2)).to_event(1))
    chain(z[:, 0])
    sample("x", N(z, 0.5).to_event(1), x)


@case(
    COUPLED, longer(-1), "each difference z_{n+1} - z_n is observed: two locals in a term", **NEXT
)
def differences(x):
    z = locals_of(x.shape[0] + 1)
    sample("x", N(z[1:] - z[:-1], 0.5), x)


@case(COUPLED, one, "noise with memory: x_n - z_n given x_{n-1} - z_{n-1}", **NEXT)
def noise_with_memory(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z[1:] + 0.5 * (x[:-1] - z[:-1]), 0.5), x[1:])


@case(COUPLED, one, "x_t holds z_t, z_{t-1} and z_{t-2}", ties={SELF: (-2, -1, 1, 2)})
def convolved(x):
    z = locals_of(x.shape[0])
    sample("x", N(jnp.convolve(z, jnp.array([1.0, 0.5, 0.25]))[: x.shape[0]], 0.5), x)


@case(
    COUPLED,
    one,
    "the prior's value depends on z_{n-1}; hiding its gradient does not cut that",
)
def stopped_gradient(x):
    z = locals_of(x.shape[0])
    chain_of = N(jax.lax.stop_gradient(z[:-1]), 1.0).log_prob(z[1:]).sum()
    numpyro.factor("chain", chain_of)
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "the loop carries z_{n-1} into the term of z_n", **NEXT)
def plain_loop(x):
    z = locals_of(x.shape[0])

    def step(last, z_n):
        return z_n, N(last, 1.0).log_prob(z_n)

    numpyro.factor("chain", jax.lax.scan(step, jnp.zeros(()), z)[1].sum())
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "two units are enough for a tie", sizes=(2,), name="two_units_tied")
def two_units_tied(x):
    random_walk(x)


@case(
    COUPLED,
    lambda s, g: (normal(3 * s, g), np.repeat(np.arange(s), 3)),
    "weeks walk, and their days are a set each: N(z_j; z_{j-1}, 1) holds two",
    **NEXT,
)
def groups_that_walk(x, group):
    z = locals_of(x.shape[0] // 3)
    chain(z)
    sample("x", N(z[group], 0.5), x)


# ------------------------------------------------------------- coupled: in space, and everywhere


def _kernel(t):
    apart = (t[:, None] - t) / (0.25 * t.shape[0])
    return jnp.exp(-0.5 * apart**2) + 0.1 * jnp.eye(t.shape[0])


def at_times(s, g):
    return normal(s, g), np.arange(s, dtype=np.float32)


@case(COUPLED, at_times, "the inverse of the kernel matrix has no zeros", **EVERY)
def gaussian_process(x, t):
    z = sample("z", dist.MultivariateNormal(jnp.zeros(x.shape[0]), _kernel(t)))
    sample("x", N(z, 0.5), x)


@case(COUPLED, at_times, "f = L e, so each x_m holds all e before it", ties={("e", "e"): ALL})
def gaussian_process_whitened(x, t):
    with rows(x.shape[0]):
        e = sample("e", N())
    sample("x", N(jnp.linalg.cholesky(_kernel(t)) @ e, 0.5), x)


@case(
    COUPLED,
    lambda s, g: (normal(s, g), np.asarray(_kernel(jnp.arange(s, dtype=jnp.float32)))),
    "the kernel matrix comes as data; its inverse ties all",
    **EVERY,
)
def gaussian_process_of_matrix(x, kernel):
    z = sample("z", dist.MultivariateNormal(jnp.zeros(x.shape[0]), kernel))
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "the precision matrix is D - ρ W: neighbors on a line", **NEXT)
def car(x):
    size = x.shape[0]
    adjacent = np.eye(size, k=1) + np.eye(size, k=-1)
    rho = sample("rho", dist.Beta(2.0, 2.0))
    z = sample("z", dist.CAR(jnp.zeros(size), rho, jnp.ones(()), jnp.asarray(adjacent)))
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "(z_a - z_b)² for neighbors a, b on a grid four wide", ties={SELF: 4})
def grid(x):
    at = np.arange(x.shape[0]).reshape(-1, 4)
    first = np.concatenate([at[:, :-1].ravel(), at[:-1].ravel()])
    second = np.concatenate([at[:, 1:].ravel(), at[1:].ravel()])
    z = locals_of(x.shape[0])
    numpyro.factor("smooth", -0.5 * jnp.sum((z[first] - z[second]) ** 2))
    sample("x", N(z, 0.5), x)


def _matches(s, g):
    first = g.integers(0, s, 3 * s)
    return g.integers(0, 2, 3 * s), first, (first + g.integers(1, s, 3 * s)) % s, s


@case(COUPLED, _matches, "a match holds the strengths of both players")
def matches(won, first, second, players):
    with rows(players, "players"):
        z = sample("z", N())
    sample("won", dist.Bernoulli(logits=z[first] - z[second]), won)


@case(COUPLED, one, "one factor holds z_3 and z_17; no other term holds two", ties={SELF: 14})
def one_pair(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    numpyro.factor("pair", -((z[3] - z[17]) ** 2))
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "N(Σ z; 0, s) holds all", **EVERY)
def sum_to_zero(x):
    z = locals_of(x.shape[0])
    numpyro.factor("sum", N(0.0, 0.1).log_prob(z.sum()))
    sample("x", N(sample("theta", N()) + z, 0.5), x)


@case(
    COUPLED,
    one,
    "x_n holds z_n minus the mean of all: the Hessian is I - 11ᵀ/N; exchangeable, and tied",
    **EVERY,
)
def centred_by_their_mean(x):
    z = locals_of(x.shape[0])
    sample("x", N(z - z.mean(), 0.5), x)


case(
    COUPLED,
    equal,
    "equal data do not untie: the terms are the same",
    name="centred_equal_rows",
    **EVERY,
)(centred_by_their_mean)


@case(COUPLED, counts, "Σ_m exp z_m is in the probability of each row", **EVERY)
def shares(x):
    z = locals_of(x.shape[0])
    numpyro.factor("x", (x * jax.nn.log_softmax(z)).sum())


@case(
    COUPLED,
    lambda s, g: (normal(s, g), own_constants(s)),
    "z = A u with orthonormal columns; AᵀD⁻¹A is full where the noise differs from row to row",
    also=(NO_LOCALS,),
)
def zero_sum(x, sd):
    z = sample("z", dist.ZeroSumNormal(1.0, (x.shape[0],)))
    sample("x", N(z, sd), x)


@case(
    HIDDEN,
    one,
    "z = A u, and AᵀA = I unties the N - 1 u; but u_n reads contrast n of all rows, fixed by n",
    also=(COUPLED, NO_LOCALS),
    doubt="they are entries of one vector",
)
def zero_sum_with_equal_noise(x):
    z = sample("z", dist.ZeroSumNormal(1.0, (x.shape[0],)))
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "the n-th smallest z is in x_n's term: which it is depends on all")
def sorted_locals(x):
    z = locals_of(x.shape[0])
    sample("x", N(jnp.sort(z), 0.5), x)


@case(COUPLED, one, "x_n holds z_n and the share of positive z: comparisons tie all", **EVERY)
def share_of_locals(x):
    z = locals_of(x.shape[0])
    sample("x", N(z - (z > 0.0).mean(), 0.5), x)


@case(COUPLED, one, "|F z|² weighted by frequency is zᵀCz with a full C", **EVERY)
def spectrum(x):
    z = locals_of(x.shape[0])
    power = jnp.abs(jnp.fft.rfft(z)) ** 2
    numpyro.factor("smooth", -0.1 * jnp.sum(power * jnp.exp(-jnp.arange(power.shape[0]) / 9.0)))
    sample("x", N(z, 0.5), x)


# --------------------------------------------------------------------- coupled: hard to see


@case(COUPLED, one, "0.001 z_n z_{n+1}: weak, but a term", doubt="it is near to rounding", **NEXT)
def weak_tie(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    numpyro.factor("tie", 1e-3 * jnp.sum(z[1:] * z[:-1]))
    sample("x", N(z, 0.5), x)


@case(COUPLED, one, "a millionth of the own curvature, but a term", doubt="it is near to rounding")
def weaker_tie(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    numpyro.factor("tie", 1e-6 * jnp.sum(z[1:] * z[:-1]))
    sample("x", N(z, 0.5), x)


def _precise(sd):
    def model(x):
        z = sample("z", dist.GaussianRandomWalk(1.0, num_steps=x.shape[0]))
        sample("x", N(z, sd), x)

    return model


for _sd in (1e-3, 1e-4, 1e-5):
    case(
        COUPLED,
        one,
        f"a walk seen with noise {_sd}: N(z_n; z_(n-1), 1) holds two, however precise x is",
        name=f"precise_{_sd}",
        doubt="the tie is small beside the likelihood's curvature",
    )(_precise(_sd))


@case(
    COUPLED,
    lambda s, g: (normal(s, g), np.where(np.arange(s) == 5, 1e-4, 1.0).astype(np.float32)),
    "a walk of which one row is seen precisely: the others' ties are not small",
    doubt="the ties are small beside that row's curvature",
)
def one_precise_row(x, sd):
    z = sample("z", dist.GaussianRandomWalk(1.0, num_steps=x.shape[0]))
    sample("x", N(z, sd), x)


@case(
    COUPLED, one, "a nearly flat walk, N(z_n; z_{n-1}, 1000)", doubt="the tie is small beside x's"
)
def loose_walk(x):
    z = locals_of(x.shape[0])
    chain(z, 1000.0)
    sample("x", N(z, 0.1), x)


# --------------------------------------------------------------------------------------- hidden


@case(HIDDEN, one, "x_n's noise is constant n of the closure: f would have to know n")
def hidden_noise(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z, own_constants(x.shape[0])), x)


@case(HIDDEN, one, "the prior's mean is constant n of the closure")
def hidden_offset(x):
    z = locals_of(x.shape[0], own_constants(x.shape[0]))
    sample("x", N(z, 0.5), x)


@case(HIDDEN, one, "the trend 0.1 n is a function of the row's number, not of data")
def hidden_trend(x):
    z = locals_of(x.shape[0])
    sample("x", N(z + 0.1 * jnp.arange(x.shape[0]), 0.5), x)


@case(HIDDEN, one, "the second half of the rows has another law, and no data say so")
def hidden_regime(x):
    late = jnp.arange(x.shape[0]) >= x.shape[0] // 2
    z = locals_of(x.shape[0])
    sample("x", N(jnp.where(late, z**2, z), 0.5), x)


@case(HIDDEN, one, "row 11 alone has another noise")
def hidden_row(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z, jnp.ones(x.shape[0]).at[11].set(2.0)), x)


@case(HIDDEN, counts, "the exposure of row n is in the closure")
def hidden_exposure(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", dist.Poisson(own_constants(x.shape[0]) * jnp.exp(z)), x)


@case(HIDDEN, one, "which rows are masked is in the closure")
def hidden_mask(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    with numpyro.handlers.mask(mask=jnp.arange(x.shape[0]) % 3 > 0):
        sample("x", N(z, 0.5), x)


@case(HIDDEN, one, "row n's loading is in the closure, beside a vector of locals")
def hidden_loading(x):
    with rows(x.shape[0]):
        z = sample("z", N(jnp.zeros(2)).to_event(1))
        sample("x", N(z[:, 0] + own_constants(x.shape[0]) * z[:, 1], 0.5), x)


@case(HIDDEN, longer(1), "each unit reads two rows, and the noise of row n is in the closure")
def hidden_in_windows(x):
    size = x.shape[0] - 1
    z = locals_of(size, sample("theta", N()))
    sample("left", N(z, own_constants(size)), x[:-1])
    sample("right", N(z, 1.0), x[1:])


@case(HIDDEN, one, "one row away from the edges has another prior, and windows are read")
def hidden_row_in_windows(x):
    z = locals_of(x.shape[0], jnp.zeros(x.shape[0]).at[9].set(1.0))
    sample("x", N(z[1:] + 0.5 * x[:-1], 0.5), x[1:])


@case(HIDDEN, one, "odd rows differ from even ones by the closure, and windows are read")
def hidden_turns_in_windows(x):
    z = locals_of(x.shape[0])
    sd = jnp.where(jnp.arange(x.shape[0] - 1) % 2 == 0, 0.5, 1.0)
    sample("x", N(z[1:] + 0.5 * x[:-1], sd), x[1:])


@case(HIDDEN, grouped, "z_j's prior has mean 0.1 j, and no data say so", name="hidden_in_groups")
def hidden_in_groups(x, group, number):
    z = locals_of(number, 0.1 * jnp.arange(number))
    sample("x", N(z[group], 0.5), x)


@case(HIDDEN, grouped, "row r has a noise of its own from the closure, inside its group")
def hidden_rows_of_groups(x, group, number):
    z = locals_of(number, sample("theta", N()))
    sample("x", N(z[group], own_constants(x.shape[0])), x)


@case(
    HIDDEN,
    lambda s, g: (normal(4 * s, g), s),
    "which unit a row belongs to is in the closure",
)
def hidden_groups(x, number):
    group = np.random.default_rng(8).permutation(np.repeat(np.arange(number), 4))
    z = locals_of(number, sample("theta", N()))
    sample("x", N(z[group], 0.5), x)


@case(HIDDEN, lambda s, g: (s,), "all of the data are in the closure: nothing is passed to read")
def hidden_data(size):
    z = locals_of(size, sample("theta", N()))
    sample("x", N(z, 0.5), own_constants(size))


@case(HIDDEN, one, "as few as seven rows, and row 3 has another noise", sizes=(7,))
def hidden_row_of_seven(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z, jnp.ones(x.shape[0]).at[3].set(2.0)), x)


@case(
    HIDDEN,
    one,
    "the prior's mean is constant n of the closure, however precise x_n is",
    doubt="the prior is small beside the likelihood's curvature",
)
def hidden_behind_precise_data(x):
    z = locals_of(x.shape[0], own_constants(x.shape[0]))
    sample("x", N(z, 1e-4), x)


@case(
    POINTWISE, one, "the constants of the closure are the same for all rows: nothing to know", **X
)
def equal_constants(x):
    z = locals_of(x.shape[0], np.zeros(x.shape[0], np.float32))
    sample("x", N(z, np.full(x.shape[0], 0.5, np.float32)), x)


# ------------------------------------------------------------------------------------ no locals


@case(NO_LOCALS, one, "the only latents are numbers")
def numbers_only(x):
    theta, sd = sample("theta", N()), sample("sd", dist.HalfNormal(1.0))
    with rows(x.shape[0]):
        sample("x", N(theta, sd), x)


@case(NO_LOCALS, lambda s, g: (normal(s, g, 4), normal(s, g)), "each weight reads all rows")
def regression(c, y):
    weights = sample("weights", N(jnp.zeros(4)).to_event(1))
    sample("y", N(c @ weights, 0.5), y)


@case(NO_LOCALS, lambda s, g: (normal(s, g, 4), normal(s, g)), "in a plate, as in an event")
def regression_in_a_plate(c, y):
    with rows(4, "features"):
        width = sample("width", dist.HalfCauchy(1.0))
        weights = sample("weights", N(0.0, width))
    sample("y", N(c @ weights, 0.5), y)


@case(NO_LOCALS, one, "each component's mean is in all rows' sums over components")
def components(x):
    share = sample("share", dist.Dirichlet(jnp.ones(3)))
    with rows(3, "components"):
        mean = sample("mean", N(0.0, 3.0))
    law = dist.MixtureSameFamily(dist.Categorical(share), N(mean, 1.0))
    with rows(x.shape[0]):
        sample("x", law, x)


@case(NO_LOCALS, at_times, "values at six knots, each of which all rows read")
def knots(x, t):
    with rows(6, "knots"):
        value = sample("value", N())
    places = jnp.linspace(0.0, x.shape[0], 6)
    basis = jnp.exp(-0.5 * ((t[:, None] - places) / (0.5 * x.shape[0])) ** 2)
    sample("x", N(basis @ value, 0.5), x)


# -------------------------------------------------------------------------------------- unknown


SUMMARY = "z_n reads the mean of all rows: an f of x_n alone is right only where it is passed in"


@case(UNKNOWN, one, "z_n's prior holds the mean of all x", doubt=SUMMARY)
def mean_inside(x):
    z = locals_of(x.shape[0], x.mean())
    sample("x", N(z, 0.5), x)


@case(UNKNOWN, one, "z_n's likelihood holds x_n, the mean and the spread of all x", doubt=SUMMARY)
def standardized_inside(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z, 0.5), (x - x.mean()) / x.std())


@case(UNKNOWN, two, "z_n's prior holds the mean of another array of rows", doubt=SUMMARY)
def mean_of_another(x, w):
    z = locals_of(x.shape[0], w.mean())
    sample("x", N(z, 0.5), x)


@case(
    UNKNOWN, two, "z_n's prior holds the share of positive w, to which all rows add", doubt=SUMMARY
)
def share_of_another(x, w):
    z = locals_of(x.shape[0], (w > 0.0).mean())
    sample("x", N(z, 0.5), x)


@case(
    UNKNOWN,
    lambda s, g: (normal(s, g), normal(3, g, s)),
    "z_n's prior holds the mean of y, whose columns are the units'",
    doubt=SUMMARY,
)
def mean_of_columns(x, y):
    z = locals_of(x.shape[0], y.mean())
    sample("x", N(z, 0.5), x)


@case(
    UNKNOWN, grouped, "z_j reads its rows and the mean of all rows", doubt=SUMMARY, also=(HIDDEN,)
)
def mean_inside_groups(x, group, number):
    z = locals_of(number, x.mean())
    sample("x", N(z[group], 0.5), x)


@case(
    UNKNOWN,
    one,
    "z_n meets the n-th smallest x: all x decide which",
    doubt="no pattern",
    also=(HIDDEN,),
)
def sorted_data(x):
    z = locals_of(x.shape[0])
    sample("x", N(z, 0.5), jnp.sort(x))


@case(UNKNOWN, one, "z_n meets frequency n of x, to which all x add", doubt=SUMMARY, also=(HIDDEN,))
def spectrum_of_data(x):
    z = locals_of(x.shape[0])
    sample("x", N(z, 0.5), jnp.fft.fft(x).real)


@case(
    UNKNOWN,
    lambda s, g: (normal(2 * s, g),),
    "z_n reads x_n and x_{n+N}: f of the pair is ideal, but the distance is no fixed offset",
    doubt="no `Input` says it",
    also=(GROUPED, WINDOWED),
)
def two_halves(x):
    z = locals_of(x.shape[0] // 2, sample("theta", N()))
    sample("x", N(jnp.tile(z, 2), 0.5), x)


@case(
    UNKNOWN,
    one,
    "z_n reads x_n and x_{n-1}, and z_0 reads the last: an edge with arguments of its own",
    doubt="no `Input` says it",
    also=(WINDOWED,),
)
def around_the_end(x):
    z = locals_of(x.shape[0], sample("theta", N()))
    sample("x", N(z + 0.5 * jnp.roll(x, 1), 0.5), x)


@case(
    UNKNOWN,
    lambda s, g: (*with_group(lambda s, g: np.sort(ragged(s, g)))(s, g),),
    "z_j reads its rows in their order, each given the one before: f of the sequence, not the set",
    doubt="no `Input` says it",
    also=(HIDDEN,),
)
def sequences(x, group, number):
    z = locals_of(number, sample("theta", N()))
    inside = group[1:] == group[:-1]
    before = jnp.concatenate([jnp.zeros(1), jnp.where(inside, x[:-1], 0.0)])
    sample("x", N(z[group] + 0.5 * before, 0.5), x)


@case(
    UNKNOWN,
    lambda s, g: (normal(3 * s, g), np.repeat(np.arange(s), 3), s),
    "u_j is in the priors of its rows' z: it reads the data only through them",
    doubt="the latents of its rows are no data",
    also=(GROUPED,),
    local="groups",
)
def upper_level(x, group, number):
    with rows(number, "groups"):
        u = sample("u", N())
    with rows(x.shape[0]):
        z = sample("z", N(u[group], 1.0))
        sample("x", N(z, 0.5), x)


@case(
    UNKNOWN,
    two,
    "z_n and w_n are one unit in two plates: f reads x_n and y_n, one plate's data are not all",
    doubt="plates of equal size are not known to be the same units",
)
def one_unit_in_two_plates(x, y):
    with rows(x.shape[0]):
        z = sample("z", N())
        sample("x", N(z, 0.5), x)
    with rows(y.shape[0], "others"):
        w = sample("w", N(z, 1.0))
        sample("y", N(w, 0.5), y)


@case(
    UNKNOWN,
    one,
    "nothing to compare a single unit with",
    doubt="one unit",
    sizes=(1,),
    name="one_unit",
)
def one_unit(x):
    linear(x)


# ------------------------------------------------------------- structure that depends on values


def _by_if(x):
    z = locals_of(x.shape[0])
    sample("x", N(z, 0.5 if x.mean() > 0 else 2.0), x)


def _by_int(x):
    z = locals_of(x.shape[0])
    sample("x", N(z * int(x.max()), 1.0), x)


def _by_float(x):
    z = locals_of(x.shape[0], float(x[0]))
    sample("x", N(z, 1.0), x)


def _by_mask(x):
    z = locals_of(x[x > 0].shape[0])
    sample("x", N(z, 1.0), x[x > 0])


def _by_loop(x):
    z = locals_of(x.shape[0])
    for n in range(x.shape[0]):
        if x[n] > 0:
            sample(f"x{n}", N(z[n], 1.0), x[n])


BY_VALUES = {"if": _by_if, "int": _by_int, "float": _by_float, "mask": _by_mask, "loop": _by_loop}
