"""Every kind of model: what binding finds, and the identity behind a bound model."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import biject_to
from numpyro.infer.util import log_density

from amortis import from_numpyro
from tests.model.zoo import CASES, N


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def bound(case):
    return from_numpyro(case.function, *case.args, local=case.local, **case.kwargs)


@pytest.fixture(scope="module")
def values(bound):
    generator = np.random.default_rng(7)
    draw = lambda shape: jnp.asarray(0.5 * generator.normal(size=shape))  # noqa: E731
    theta = {name: draw(shape) for name, shape in bound.globals_.items()}
    return theta, {name: draw((N, *shape)) for name, shape in bound.locals_.items()}


@pytest.fixture(scope="module")
def evaluated(bound, values):
    """Terms of all rows and of a few, and the user's values, compiled once."""
    index = jnp.asarray([7, 2, 9])

    @eqx.filter_jit
    def evaluate(bound, theta, z):
        few = {name: value[index] for name, value in z.items()}
        whole = (bound.log_prior(theta), bound.log_local(theta, z), bound.log_joint(theta, z))
        rows = bound.rows(index)
        part = (bound.log_prior(theta, few, rows), bound.log_local(theta, few, rows))
        return whole, part, bound.constrain(theta, z)

    return index, *evaluate(bound, *values)


def test_it_finds_sites_size_and_plate(case, bound):
    assert dict(bound.globals_) == case.globals_
    assert dict(bound.locals_) == case.locals_
    assert bound.size == N
    assert bound.plate == case.plate
    assert bound.inputs.shape == (N, len(bound.input_names))
    assert bound.inputs.shape[1] > 0
    assert bound.inputs.dtype == jnp.float64


def test_the_joint_is_the_prior_plus_the_sum_of_the_rows(evaluated):
    _, (prior, local, joint), _, _ = evaluated
    assert local.shape == (N,)
    assert prior.shape == joint.shape == ()
    np.testing.assert_allclose(float(prior) + np.sum(np.asarray(local)), float(joint), rtol=1e-12)


def test_rows_stand_alone(evaluated):
    index, (prior, local, _), (part_prior, part_local), _ = evaluated
    np.testing.assert_allclose(part_local, local[index], rtol=1e-10)
    np.testing.assert_allclose(float(part_prior), float(prior), rtol=1e-10)


def test_the_joint_is_the_one_of_numpyro_plus_log_determinants(case, bound, values, evaluated):
    _, (_, _, joint), _, constrained = evaluated
    latent = {name: constrained[name] for name in (*bound.globals_, *bound.locals_)}
    args, kwargs = jax.tree.map(
        _as_array, (case.args, case.kwargs), is_leaf=lambda leaf: isinstance(leaf, list)
    )
    if case.whole:
        args, kwargs = args[: -len(case.whole)], kwargs | case.whole
    expected, trace = log_density(case.function, args, kwargs, latent)
    log_det = 0.0
    for name, value in (values[0] | values[1]).items():
        site = trace[name]
        bijection = biject_to(site["fn"].support)
        unconstrained = _in_the_models_axes(case, name, value)
        np.testing.assert_allclose(bijection(unconstrained), latent[name], rtol=1e-12)
        log_det += float(jnp.sum(bijection.log_abs_det_jacobian(unconstrained, latent[name])))
    np.testing.assert_allclose(float(joint), float(expected) + log_det, rtol=1e-9)


def _as_array(leaf):
    if hasattr(leaf, "to_numpy"):
        leaf = leaf.to_numpy()
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | list) else leaf


def _in_the_models_axes(case, name, value):
    """One case has its rows on the right of a plate; unconstrained locals have them first."""
    moved = case.function.__name__ == "rows_on_the_right" and name == "w"
    return value.T if moved else value
