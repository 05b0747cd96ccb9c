"""Functions that climb each row's own ELBO, against the rules that they are made of."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest

from amortis import (
    MLP,
    AdamSteps,
    Additive,
    AllSteps,
    ArgumentError,
    ClosedFormEntropy,
    DiagonalNormal,
    Errors,
    FromPrior,
    GradientAscent,
    Highway,
    Iterative,
    LastStep,
    LayerNormalized,
    LBFGSSteps,
    LogSign,
    MomentumSteps,
    PlainSlope,
    Point,
    Polynomial,
    Replacing,
    Table,
    fit,
    from_numpyro,
    infer,
    load,
    save,
    with_steps,
)
from amortis.guide import Guide
from amortis.inference_functions import FunctionShape, RowProblem
from amortis.inference_functions.iterated import bounded
from amortis.objectives import NegativeElbo, elbo_draws, with_row_elbos

KEY = jax.random.key(3)
ROWS, RAW = 6, 2


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def skewed(x):
    """One global; a Poisson rate for each row, whose posterior is not normal."""
    mean = numpyro.sample("mean", dist.Normal(0.0, 2.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mean, 1.0))
        numpyro.sample("x", dist.Normal(jnp.exp(0.5 * z), 0.5), obs=x)


@pytest.fixture(scope="module")
def model():
    return from_numpyro(skewed, np.asarray([0.3, 1.0, 2.5, 0.7, 1.4, 4.0]))


def guide_of(model, inference, globals_=None):
    globals_ = DiagonalNormal() if globals_ is None else globals_
    return with_row_elbos(
        Guide.for_model(model, inference, globals_, DiagonalNormal()), model
    ).starting_at(-1.0)


def moved(parameters, seed=0, size=0.2):
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf + size * generator.normal(size=leaf.shape), parameters)


def still(raw):
    return jnp.zeros(raw.shape[0]), jnp.zeros_like(raw)


def still_problem():
    return RowProblem(still, errors=None, prior=None)


@pytest.mark.parametrize("encoding", [LogSign(), LayerNormalized(), PlainSlope()], ids=str)
def test_one_step_without_a_slope_is_the_standard_function(encoding):
    """The network sees the context, and columns that are the same for every row."""
    context = jnp.asarray(np.random.default_rng(0).normal(size=(ROWS, 3)))
    offset = jnp.asarray([0.3, -1.0])
    function = Iterative(MLP(5), 1, encoding, Replacing())
    parameters = moved(function.init(KEY, FunctionShape(ROWS, 3, RAW)))
    blank = jnp.zeros((ROWS, RAW))
    constant = jnp.concatenate([blank + offset, encoding(blank)], axis=1)
    standard = MLP(5)(parameters["network"], jnp.concatenate([context, constant], axis=1), None)
    found = function.climb(parameters, context, None, offset, still_problem()).raw
    assert found.shape == (1, ROWS, RAW)
    np.testing.assert_allclose(found[0], offset + standard, rtol=1e-12)


def test_the_identity_network_is_gradient_ascent(model):
    """A linear network that hands the slope on, times a rate."""
    rate, steps = 0.05, 7
    learned = guide_of(model, Iterative(Polynomial(1), steps, PlainSlope(), Additive()))
    plain = guide_of(model, GradientAscent(MomentumSteps(rate), steps))
    parameters = learned.init(KEY)
    linear = np.zeros(np.shape(parameters["locals"]["network"]))
    linear[-RAW:] = rate * np.eye(RAW)  # the slope stands last among the columns
    handing_on = {**parameters, "locals": {"network": jnp.asarray(linear)}}
    found = learned.iterates(handing_on, None)
    expected = plain.iterates({**parameters, "locals": {}}, None)
    assert found.shape == expected.shape == (steps, ROWS, RAW)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    # And it climbs: the rows' ELBOs rise at every step.
    elbos = [plain.row_elbos(plain.factors(), parameters, raw, None)[0] for raw in expected]
    assert (np.diff(np.sum(elbos, axis=1)) > 0.0).all()


@pytest.mark.parametrize(
    ("rule", "transformation"),
    [
        (MomentumSteps(0.1), optax.sgd(0.1)),
        (MomentumSteps(0.05, 0.8), optax.sgd(0.05, momentum=0.8)),
        (AdamSteps(0.2), optax.adam(0.2)),
        (AdamSteps(0.1, 0.8, 0.9), optax.adam(0.1, b1=0.8, b2=0.9)),
    ],
    ids=["plain", "momentum", "adam", "adam-decays"],
)
@pytest.mark.usefixtures("standard_promotion")
def test_rules_are_those_of_optax(rule, transformation):
    target = jnp.asarray(np.random.default_rng(1).normal(size=(ROWS, RAW)))

    def elbos(raw):
        apart = raw - target
        return -jnp.sum(apart**4, axis=1), -4.0 * apart**3

    raw, expected = jnp.zeros((ROWS, RAW)), []
    state = transformation.init(raw)
    for _ in range(6):
        update, state = transformation.update(-elbos(raw)[1], state)
        raw = raw + update
        expected.append(raw)
    found = rule.climb(jnp.zeros((ROWS, RAW)), elbos, 6).raw
    np.testing.assert_allclose(found, jnp.stack(expected), rtol=1e-5, atol=1e-8)


def test_lbfgs_finds_each_rows_optimum_and_never_loses():
    generator = np.random.default_rng(2)
    target = jnp.asarray(generator.normal(size=(ROWS, RAW)))
    sharp = jnp.asarray(np.exp(generator.normal(size=(ROWS, RAW)) * 2.0))

    def elbos(raw):
        return -0.5 * jnp.sum(sharp * (raw - target) ** 2, axis=1), -sharp * (raw - target)

    found = LBFGSSteps().climb(jnp.zeros((ROWS, RAW)), elbos, 40).raw
    values = np.stack([elbos(raw)[0] for raw in found])
    assert (np.diff(values, axis=0) >= 0.0).all()
    np.testing.assert_allclose(found[-1], target, atol=1e-6)


def test_gradients_are_those_of_the_iterates_that_are_named(model):
    """With everything spelled out: each step alone, from an iterate that is held."""
    steps = 3
    function = Iterative(MLP(4, 1), steps)
    guide = guide_of(model, function)
    loss = NegativeElbo(model, guide, ClosedFormEntropy())
    parameters, noise = moved(guide.init(KEY)), loss.fixed_noise(KEY, 8)
    iterates = guide.iterates(parameters, None)

    def elbo(raw, of_globals):
        given = {**parameters, "globals": of_globals}
        draws = elbo_draws(model, guide, loss.gradient, given, noise, None, raw=raw)
        return -jnp.vdot(jnp.asarray(noise.weight), draws) / ROWS

    def one_step(locals_, before):
        single = dataclasses.replace(guide, inference=dataclasses.replace(function, steps=1))
        _, slopes = guide.row_elbos(guide.factors(), parameters, before, None)
        read = [single.contexts, before, LogSign()(slopes)]
        said = MLP(4, 1)(locals_["network"], jnp.concatenate(read, axis=1), None)
        return Highway()(before, said, guide.offset)

    begin = [jnp.broadcast_to(guide.offset, (ROWS, RAW)), *iterates[:-1]]
    for before, after in zip(begin, iterates, strict=True):
        np.testing.assert_allclose(one_step(parameters["locals"], before), after, rtol=1e-9)
    value, slopes = jax.value_and_grad(loss.value)(parameters, noise, None)
    np.testing.assert_allclose(value, elbo(iterates[-1], parameters["globals"]), rtol=1e-12)

    def averaged(locals_):
        each = [elbo(one_step(locals_, before), parameters["globals"]) for before in begin]
        return sum(each) / steps

    for found, expected in zip(
        jax.tree.leaves(slopes["locals"]),
        jax.tree.leaves(jax.grad(averaged)(parameters["locals"])),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)
    of_model = jax.grad(lambda g: elbo(iterates[-1], g))(parameters["globals"])
    np.testing.assert_allclose(slopes["globals"], of_model, rtol=1e-9)
    # The same by what fixed draws share.
    shared = loss.value_of(loss.shared(parameters), noise)
    np.testing.assert_allclose(shared, value, rtol=1e-12)


@pytest.mark.parametrize("through", [False, True], ids=["held", "through"])
def test_semi_amortized_ascent_takes_hand_made_steps_from_a_learned_start(model, through):
    """What the start gives, then K steps; it is trained by its own ELBO, or through the steps."""
    steps, rate, decay = 3, 0.05, 0.5
    start = MLP(4, 1)
    rule = MomentumSteps(rate, decay)
    guide = guide_of(model, GradientAscent(rule=rule, steps=steps, start=start, through=through))
    loss = NegativeElbo(model, guide, ClosedFormEntropy())
    parameters, noise = moved(guide.init(KEY)), loss.fixed_noise(KEY, 8)

    def started(given):
        return guide.offset + start(given["locals"]["start"], guide.contexts, None)

    def total(raw, given):
        return jnp.sum(guide.row_elbos(guide.factors(), given, raw, None)[0])

    def climbed(given):
        raw = started(given)
        speed = jnp.zeros_like(raw)
        for _ in range(steps):
            speed = decay * speed + jax.grad(total)(raw, given)
            raw = raw + rate * speed
        return raw

    iterates = guide.iterates(parameters, None)
    assert iterates.shape == (steps + 1, ROWS, RAW)
    np.testing.assert_allclose(iterates[0], started(parameters), rtol=1e-12)
    np.testing.assert_allclose(guide.fitted_raw(parameters, None), climbed(parameters), rtol=1e-9)

    def minus_elbo(given, raw):
        draws = elbo_draws(model, guide, loss.gradient, given, noise, None, raw=raw)
        return -jnp.vdot(jnp.asarray(noise.weight), draws) / ROWS

    of_start = jax.grad(lambda given: minus_elbo(given, started(given)))(parameters)
    of_model = jax.grad(minus_elbo)(parameters, climbed(parameters))
    of_all = jax.grad(lambda given: minus_elbo(given, climbed(given)))(parameters)
    apart = {"globals": of_model["globals"], "locals": of_start["locals"]}
    expected, other = (of_all, apart) if through else (apart, of_all)
    value, slopes = jax.value_and_grad(loss.value)(parameters, noise, None)
    np.testing.assert_allclose(value, minus_elbo(parameters, climbed(parameters)), rtol=1e-12)
    for part in ("globals", "locals"):
        found, wanted, unlike = (
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree[part])])
            for tree in (slopes, expected, other)
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-10)
        assert np.abs(wanted - unlike).max() > 1e-3  # the two choices could be told apart here
    # The same by what fixed draws share.
    np.testing.assert_allclose(loss.value_of(loss.shared(parameters), noise), value, rtol=1e-12)


@pytest.mark.parametrize(
    ("weights", "expected"), [(AllSteps(), [0.25] * 4), (LastStep(), [0, 0, 0, 1])]
)
def test_weights_of_steps(weights, expected):
    np.testing.assert_allclose(weights.of(4), expected)


def test_log_and_sign_meet_without_a_jump():
    slope = jnp.exp(-10.0) * jnp.asarray([[1.0 - 1e-9, 1.0 + 1e-9, -1.0, 0.0, np.e**10]])
    found = np.asarray(LogSign()(slope))[0]
    np.testing.assert_allclose(found[:4], [-1.0] * 4, atol=1e-7)
    np.testing.assert_allclose(found[5:9], [1.0, 1.0, -1.0, 0.0], atol=1e-7)
    np.testing.assert_allclose([found[4], found[9]], [0.0, 1.0], atol=1e-12)
    # Its own derivative is a number everywhere, also at zero.
    derivative = jax.grad(lambda s: jnp.sum(LogSign()(s)))(slope)
    assert np.isfinite(derivative).all()


def test_slopes_that_explode_are_cut():
    slope = jnp.asarray([[1.0, 2.0], [np.nan, 1.0], [3e8, -1e8], [np.inf, 0.0], [1.0, 2.0]])
    expected = [[1.0, 2.0], [0.0, 0.0], [1e6, -1e6 / 3.0], [0.0, 0.0], [0.0, 0.0]]
    found, cut = bounded(jnp.asarray([0.0, 0.0, 0.0, 0.0, np.nan]), slope)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(cut, [False, True, True, True, True])


def linear(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, 2.0), obs=x)


@pytest.fixture(scope="module")
def normals():
    x = 1.0 + np.random.default_rng(5).normal(size=200) * 5.0**0.5
    return from_numpyro(linear, x), x


@pytest.fixture(scope="module")
def learned(normals):
    model, _ = normals
    return fit(model, key=KEY, inference=Iterative(MLP(8), 4, reads_context=False))


def test_what_it_learned_is_each_rows_own_optimum(normals, learned):
    """z given x and theta is N((4 theta + x) / 5, 4/5), which it finds by slopes alone."""
    _, x = normals
    mean, sd = (np.asarray(part)[:, 0] for part in learned.local_moments())
    theta = float(learned.global_moments()[0][0])
    np.testing.assert_allclose(mean, (4.0 * theta + x) / 5.0, atol=0.02)
    np.testing.assert_allclose(sd, 0.8**0.5, rtol=0.02)
    best = fit(normals[0], key=KEY, inference=Table()).elbo(key=KEY, draws=512)
    assert best.mean - learned.elbo(key=KEY, draws=512).mean < 1e-3 * len(x)


def test_more_steps_come_nearer_and_new_rows_need_no_training(learned):
    elbos = [with_steps(learned, steps).elbo(key=KEY, draws=512).mean for steps in (1, 2, 4, 8)]
    assert elbos[1] > elbos[0] - 1e-3 and abs(elbos[3] - elbos[2]) < 0.1
    new = infer(learned, np.asarray([-3.0, 8.0]))
    theta = float(learned.global_moments()[0][0])
    expected = (4.0 * theta + np.asarray([-3.0, 8.0])) / 5.0
    np.testing.assert_allclose(np.asarray(new.local_moments()[0])[:, 0], expected, atol=0.1)
    assert with_steps(new, 9).guide.inference.steps == 9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Iterative(steps=0), "Iterative steps is 0; expected at least 1"),
        (lambda: GradientAscent(steps=0), "GradientAscent steps is 0; expected at least 1"),
        (lambda: Iterative(Table()), r"network is Table\(\), which gives every row .*; expected"),
        (lambda: Iterative(network="MLP"), "Iterative network is 'MLP'; expected"),
        (lambda: Iterative(gate=Highway), "Iterative gate is the class Highway; expected"),
        (lambda: LogSign(0.0), "LogSign"),
        (lambda: MomentumSteps(-1.0), "MomentumSteps"),
        (lambda: AdamSteps(0.1, 1.0), r"AdamSteps decay is 1.0; expected a number in \[0, 1\)"),
    ],
)
def test_choices_that_cannot_be(make, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ArgumentError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_units_that_touch_have_no_elbo_of_their_own():
    def chain(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.factor("tie", -0.5 * jnp.sum(jnp.square(z[1:] - z[:-1])))
        with numpyro.plate("rows", x.shape[0]):
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    bound = from_numpyro(chain, np.linspace(-1.0, 1.0, 8))
    with pytest.raises(ArgumentError, match=r"climbs each row's own ELBO, but .* touch") as caught:
        fit(bound, key=KEY, inference=Iterative())
    assert "\n" not in str(caught.value)


def test_a_function_without_steps_takes_no_more(normals):
    fitted = fit(normals[0], key=KEY, inference=Polynomial(1), globals_=Point())
    with pytest.raises(ArgumentError, match=re.escape("Polynomial(...), which takes no steps")):
        with_steps(fitted, 3)


@pytest.mark.parametrize(
    "inference",
    [
        Iterative(MLP(3, 1), 2, LayerNormalized(), Additive(), start=Polynomial(1)),
        Iterative(Polynomial(2), 3, PlainSlope(), Replacing(), None, False, LastStep(), AllSteps()),
        GradientAscent(AdamSteps(0.2, 0.8, 0.99), 4),
        GradientAscent(LBFGSSteps(5), 3, FromPrior()),
        Iterative(MLP(3, 1), 2, Errors(LayerNormalized()), Additive(), FromPrior()),
        Iterative(Polynomial(1), 2, Errors()),
        GradientAscent(MomentumSteps(0.1, 0.5), 2),
        GradientAscent(MomentumSteps(0.1), 2, MLP(3, 1), through=True, draws=4),
    ],
    ids=["start", "choices", "adam", "lbfgs", "errors-prior", "errors", "momentum", "semi"],
)
def test_archives_keep_every_choice_and_infer_the_same(inference, normals, tmp_path):
    model, x = normals
    guide = guide_of(model, inference)
    unfitted = fit(model, key=KEY, inference=Polynomial(1), globals_=Point())
    fitted = dataclasses.replace(
        unfitted, guide=guide, variational=moved(guide.init(KEY), size=0.05)
    )
    save(fitted, tmp_path / "fit.amortis")
    again = load(tmp_path / "fit.amortis", linear, x)
    assert again.guide.inference == inference
    for ours, theirs in zip(fitted.local_moments(), again.local_moments(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    new = np.asarray([-1.0, 0.0, 4.0])
    learned = load(tmp_path / "fit.amortis", linear)
    for ours, theirs in zip(
        infer(fitted, new).local_moments(), infer(learned, new).local_moments(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
