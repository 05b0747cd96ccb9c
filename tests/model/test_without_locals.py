"""Models whose latents are all globals: how they are bound, and on which supports they live."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.flatten_util import ravel_pytree
from numpyro.contrib.control_flow import scan
from numpyro.distributions import constraints
from numpyro.infer.util import initialize_model, log_density

from amortis import Kind, Locals, check, fit, from_numpyro, infer

N = 12
KEY = jax.random.key(7)


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


X, Y = numbers(N, 2), numbers(N, seed=1)


def regression(x, y):
    b = numpyro.sample("b", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    numpyro.deterministic("ratio", b[0] / s)
    with numpyro.plate("rows", x.shape[0]):
        numpyro.sample("y", dist.Normal(x @ b, s), obs=y)


def without_a_plate(x, y):
    b = numpyro.sample("b", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    numpyro.sample("y", dist.Normal(x @ b, s), obs=y)


def autoregression(y):
    a = numpyro.sample("a", dist.Uniform(-1.0, 1.0))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    numpyro.sample("y", dist.Normal(a * y[:-1], s), obs=y[1:])


def process(x, y):
    length = numpyro.sample("length", dist.LogNormal(0.0, 1.0))
    distance = x[:, None, 0] - x[None, :, 0]
    covariance = jnp.exp(-jnp.square(distance / length)) + 0.1 * jnp.eye(x.shape[0])
    mean = jnp.zeros(x.shape[0])
    numpyro.sample("y", dist.MultivariateNormal(mean, covariance), obs=y)


def scanned(y):
    start = numpyro.sample("start", dist.Normal(0.0, 1.0))
    rate = numpyro.sample("rate", dist.Normal(0.5, 0.2))

    def step(level, value):
        level = 0.5 * level + rate
        numpyro.sample("y", dist.Normal(level, 1.0), obs=value)
        return level, None

    scan(step, start, y)


def dependent(y):
    alpha = numpyro.sample("alpha", dist.Uniform(0.0, 1.0))
    beta = numpyro.sample("beta", dist.Uniform(0.0, 1.0 - alpha))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(alpha, 0.1 + beta), obs=y)


def simplex(y):
    p = numpyro.sample("p", dist.Dirichlet(jnp.asarray([2.0, 3.0, 1.5])))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(p[0] - p[2], 0.3 + p[1]), obs=y)


def ordered(y):
    base = dist.Normal(0.0, 1.0).expand([3]).to_event(1)
    cuts = dist.TransformedDistribution(base, dist.transforms.OrderedTransform())
    c = numpyro.sample("c", cuts)
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(c[0], 1.0 + c[2] - c[1]), obs=y)


def correlations(y):
    root = numpyro.sample("root", dist.LKJCholesky(3, 2.0))
    scales = numpyro.sample("scales", dist.HalfNormal(1.0).expand([3]).to_event(1))
    with numpyro.plate("rows", y.shape[0]):
        normal = dist.MultivariateNormal(jnp.zeros(3), scale_tril=scales[:, None] * root)
        numpyro.sample("y", normal, obs=y)


def covariances(y):
    flat = dist.ImproperUniform(constraints.positive_definite, (), (2, 2))
    c = numpyro.sample("c", flat)
    numpyro.factor("prior", -0.5 * jnp.trace(c) - jnp.sum(jnp.log(jnp.diagonal(c))))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(2), c), obs=y)


def intervals(y):
    a = numpyro.sample("a", dist.Uniform(-2.0, 5.0))
    b = numpyro.sample("b", dist.Beta(2.0, 3.0))
    c = numpyro.sample("c", dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=0.5))
    d = numpyro.sample("d", dist.Pareto(2.0, 3.0))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(a + c, b + d), obs=y)


BY_ROW = {
    "regression": (regression, (X, Y)),
    "without a plate": (without_a_plate, (X, Y)),
    "dependent": (dependent, (Y,)),
    "simplex": (simplex, (Y,)),
    "ordered": (ordered, (Y,)),
    "correlations": (correlations, (numbers(N, 3),)),
    "covariances": (covariances, (numbers(N, 2),)),
    "intervals": (intervals, (Y,)),
}
WHOLE = {
    "autoregression": (autoregression, (Y,)),
    "process": (process, (X, Y)),
    "scan": (scanned, (Y,)),
}
CASES = BY_ROW | WHOLE


@pytest.fixture(scope="module", params=CASES)
def case(request):
    function, args = CASES[request.param]
    return request.param, function, args, from_numpyro(function, *args)


def somewhere(model, seed=3, scale=0.7):
    generator = np.random.default_rng(seed)
    draw = lambda shape: jnp.asarray(scale * generator.normal(size=shape))  # noqa: E731
    return {name: draw(shape) for name, shape in model.globals_.items()}


def test_rows_are_units_where_they_stand_alone(case):
    name, _, _, model = case
    assert dict(model.locals_) == {}
    assert model.size == (N if name in BY_ROW else 1)
    assert model.separable is (name in BY_ROW)
    assert not model.coupled


def test_the_joint_is_minus_the_potential_of_numpyro(case):
    """At random points of the unconstrained scale, with the log determinants."""
    _, function, args, model = case
    potential = initialize_model(KEY, function, model_args=args).potential_fn
    for seed in range(3):
        theta = somewhere(model, seed)
        joint = model.log_joint(theta, model.zeros(model.size))
        np.testing.assert_allclose(joint, -potential(theta), rtol=1e-9, atol=1e-9)


def test_the_joint_is_the_one_of_numpyro_plus_log_determinants():
    model = from_numpyro(regression, X, Y)
    theta = somewhere(model)
    values = model.constrain(theta, {})
    expected, _ = log_density(regression, (X, Y), {}, {n: values[n] for n in ("b", "s")})
    joint = model.log_joint(theta, model.zeros(N))
    # s = exp(u), so that the log determinant is u.
    np.testing.assert_allclose(joint, expected + theta["s"], rtol=1e-12)
    np.testing.assert_allclose(values["ratio"], values["b"][0] / values["s"], rtol=1e-12)


@pytest.mark.parametrize("name", BY_ROW)
def test_minibatches_of_a_partition_sum_to_the_whole(name):
    function, args = BY_ROW[name]
    model = from_numpyro(function, *args)
    theta = somewhere(model)
    parts = np.random.default_rng(0).permutation(N).reshape(4, 3)
    found, priors = [], []
    for index in map(jnp.asarray, parts):
        rows = model.rows(index)
        found.append(jnp.sum(model.log_local(theta, model.zeros(3), rows)))
        priors.append(model.log_prior(theta, model.zeros(3), rows))
    whole = model.log_joint(theta, model.zeros(N))
    np.testing.assert_allclose(priors, priors[0], rtol=1e-10)
    # Unbiased: the mean over batches of prior + (N / batch) sum is the whole.
    unbiased = [p + N / 3 * f for p, f in zip(priors, found, strict=True)]
    np.testing.assert_allclose(np.mean(unbiased), whole, rtol=1e-10)
    assert np.std(unbiased) > 1e-3


def hierarchy(y, group, groups):
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("groups", groups):
        z = numpyro.sample("z", dist.Normal(mean, 1.0))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)


def test_latents_of_a_plate_may_be_taken_as_globals():
    args = (Y, np.arange(N) % 4, 4)
    assert dict(from_numpyro(hierarchy, *args).locals_) == {"z": ()}
    model = from_numpyro(hierarchy, *args, local=Locals.NONE)
    assert dict(model.locals_) == {} and dict(model.globals_) == {"mean": (), "z": (4,)}
    theta = somewhere(model)
    expected, _ = log_density(hierarchy, args, {}, theta)
    joint = model.log_joint(theta, model.zeros(model.size))
    np.testing.assert_allclose(joint, expected, rtol=1e-12)
    assert check(model).kind is Kind.NO_LOCALS
    assert Locals.NONE.value in str(check(model))


def test_check_says_that_there_is_nothing_to_amortize(case):
    _, _, _, model = case
    verdict = check(model)
    assert verdict.kind is Kind.NO_LOCALS and verdict.answer is False


SUPPORTS = {
    "dependent": lambda v: (v["alpha"] > 0) & (v["beta"] > 0) & (v["alpha"] + v["beta"] < 1),
    "simplex": lambda v: (v["p"] > 0).all(1) & (np.abs(v["p"].sum(1) - 1) < 1e-9),
    "ordered": lambda v: (np.diff(v["c"], axis=1) > 0).all(1),
    "correlations": lambda v: (
        (np.abs(np.square(v["root"]).sum(2) - 1) < 1e-9).all(1)
        & (np.diagonal(v["root"], axis1=1, axis2=2) > 0).all(1)
        & (np.abs(np.triu(v["root"], 1)).max((1, 2)) == 0)
    ),
    "covariances": lambda v: (
        (np.linalg.eigvalsh(v["c"]) > 0).all(1)
        & (np.abs(v["c"][:, 0, 1] - v["c"][:, 1, 0]) < 1e-12)
    ),
    "intervals": lambda v: (
        (np.abs(v["a"] - 1.5) < 3.5)
        & (np.abs(v["b"] - 0.5) < 0.5)
        & (np.abs(v["c"] + 0.25) < 0.75)
        & (v["d"] > 2.0)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SUPPORTS)
def test_posterior_draws_lie_in_the_supports(name):
    function, args = BY_ROW[name]
    drawn = fit(from_numpyro(function, *args), key=KEY).posterior(key=KEY, draws=300)
    inside = SUPPORTS[name](drawn)
    assert inside.shape == (300,) and inside.all()
    spread = [np.std(ravel_pytree({n: v[i] for n, v in drawn.items()})[0]) for i in range(2)]
    assert spread[0] != spread[1]


def test_deterministic_sites_come_with_the_draws():
    drawn = fit(from_numpyro(regression, X, Y), key=KEY).posterior(key=KEY, draws=50)
    assert drawn["b"].shape == (50, 2) and drawn["ratio"].shape == (50,)
    np.testing.assert_allclose(drawn["ratio"], drawn["b"][:, 0] / drawn["s"], rtol=1e-9)


def test_a_fit_is_bound_to_new_data_of_another_length():
    fitted = fit(from_numpyro(regression, X, Y), key=KEY)
    x, y = numbers(7, 2, seed=5), numbers(7, seed=6)
    again = infer(fitted, x, y)
    assert again.model.size == 7 and again.held
    theta = somewhere(again.model)
    expected = from_numpyro(regression, x, y).log_joint(theta, again.model.zeros(7))
    np.testing.assert_allclose(
        again.model.log_joint(theta, again.model.zeros(7)), expected, rtol=1e-12
    )
    for found, given in zip(again.global_moments(), fitted.global_moments(), strict=True):
        assert np.array_equal(found, given)


def test_a_site_as_long_as_the_data_is_no_row_of_theirs():
    """Of two rates and two numbers neither is a row of the other where no locals are wanted."""

    def model(y):
        rate = numpyro.sample("rate", dist.Exponential(1.0).expand([2]).to_event(1))
        numpyro.sample("y", dist.Normal(rate, 1.0).to_event(1), obs=y)

    bound = from_numpyro(model, jnp.asarray([0.3, 1.2]), local=Locals.NONE)
    assert dict(bound.globals_) == {"rate": (2,)} and not bound.locals_


def test_data_without_rows_are_one_unit():
    """A vector of latents that has no data to be rows of."""

    def funnel(x):
        v = numpyro.sample("v", dist.Normal(0.0, 3.0))
        numpyro.sample("w", dist.Normal(0.0, jnp.exp(v / 2.0)).expand([5]).to_event(1))
        numpyro.sample("x", dist.Normal(v, 1000.0), obs=x)

    bound = from_numpyro(funnel, jnp.zeros(()))
    assert dict(bound.globals_) == {"v": (), "w": (5,)} and not bound.locals_
