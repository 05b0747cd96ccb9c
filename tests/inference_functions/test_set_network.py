import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amortis
from amortis import ArgumentError, SetNetwork
from amortis.inference_functions import FunctionShape, take
from amortis.model import Inputs, Membership
from amortis.numerics import Groups

OWNER = np.asarray([3, 0, 0, 3, 4, 3, 0, 4, 3, 3])  # groups 1 and 2 are empty


def made(width, key, owner=OWNER, groups=5):
    values = np.random.default_rng(0).normal(size=(len(owner), 2))
    members = Membership(jnp.asarray(values), Groups.of(owner, groups), ("a", "b"))
    rows = jnp.asarray(np.random.default_rng(1).normal(size=(groups, 1)))
    function = SetNetwork(width=width)
    parts = function.arrange(Inputs(rows, members=members))
    parameters = function.init(key, FunctionShape(groups, 1, 4, members=2))
    parameters = jax.tree.map(
        lambda p: p + 0.3 * jax.random.normal(jax.random.key(1), p.shape), parameters
    )
    return function, parts, parameters


def test_potentials_are_those_of_a_loop(key, x64):
    """One precision matrix per group, summed and solved group by group."""
    function, parts, parameters = made(0, key)
    outputs = np.asarray(function(parameters, function.context(parts), None))
    group, row = ({k: np.asarray(v) for k, v in parameters[n].items()} for n in ("group", "row"))
    shift = np.asarray(parameters["shift"]["weight"])
    for j in range(5):
        prior = np.asarray(parts.rows[j]) @ group["weight"] + group["bias"]
        precision = group["directions"] @ np.diag(np.exp(prior[2:])) @ group["directions"].T
        linear = precision @ prior[:2]
        for i in np.flatnonzero(j == OWNER):
            one = np.asarray(parts.members[i]) @ row["weight"] + row["bias"]
            root = one[2:].reshape(2, 2)
            precision = precision + root @ root.T
            linear = linear + root @ one[:2]
        mean = np.linalg.solve(precision, linear) + np.asarray(parts.rows[j]) @ shift
        expected = np.concatenate([mean, -0.5 * np.log(np.diag(precision))])
        np.testing.assert_allclose(outputs[j], expected, atol=1e-5)  # a jitter of 1e-6 is added


@pytest.mark.parametrize("numbers", [1, 9])
def test_potentials_of_single_numbers_are_those_of_a_loop(numbers, key, x64):
    """One latent number, or too many for matrices: each has a precision of its own."""
    function, parts, _ = made(0, key)
    parameters = function.init(key, FunctionShape(5, 1, 2 * numbers, members=2))
    parameters = jax.tree.map(
        lambda p: p + 0.3 * jax.random.normal(jax.random.key(1), p.shape), parameters
    )
    outputs = np.asarray(function(parameters, function.context(parts), None))
    group, row = ({k: np.asarray(v) for k, v in parameters[n].items()} for n in ("group", "row"))
    shift = np.asarray(parameters["shift"]["weight"])
    for j in range(5):
        prior = np.asarray(parts.rows[j]) @ group["weight"] + group["bias"]
        precision = np.exp(prior[numbers:])
        linear = precision * prior[:numbers]
        for i in np.flatnonzero(j == OWNER):
            one = np.asarray(parts.members[i]) @ row["weight"] + row["bias"]
            precision = precision + np.exp(one[numbers:])
            linear = linear + np.exp(one[numbers:]) * one[:numbers]
        mean = linear / precision + np.asarray(parts.rows[j]) @ shift
        expected = np.concatenate([mean, -0.5 * np.log(precision)])
        np.testing.assert_allclose(outputs[j], expected, rtol=1e-10)


def test_random_slopes_are_exact(key):
    """b_j ~ N(0, I), y_i ~ N(b_j0 + b_j1 t_i, s): means of the posterior, sds of its precision."""
    import numpyro
    import numpyro.distributions as dist

    def model(t, y, group, groups):
        with numpyro.plate("groups", groups):
            b = numpyro.sample("b", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(b[group, 0] + b[group, 1] * t, 0.5), obs=y)

    generator = np.random.default_rng(3)
    group = generator.choice(10, size=60, p=np.arange(10) / 45)  # group 0 is empty
    t, noise = generator.normal(size=(2, 60)).astype(np.float32)
    truth = generator.normal(size=(10, 2)).astype(np.float32)
    y = truth[group, 0] + truth[group, 1] * t + 0.5 * noise
    fitted = amortis.fit(
        amortis.from_numpyro(model, t, y, group, 10), inference=SetNetwork(width=0), key=key
    )
    mean, sd = fitted.moments()["b"]
    for j in range(10):
        design = np.stack([np.ones((group == j).sum()), t[group == j]], axis=1)
        precision = np.eye(2) + design.T @ design / 0.25
        expected = np.linalg.solve(precision, design.T @ y[group == j] / 0.25)
        np.testing.assert_allclose(mean[j], expected, atol=5e-3)
        np.testing.assert_allclose(sd[j], np.diag(precision) ** -0.5, rtol=5e-3)


@pytest.mark.parametrize("width", [0, 3])
def test_the_order_of_rows_does_not_matter_and_batches_agree(width, key, x64):
    function, parts, parameters = made(width, key)
    whole = np.asarray(function(parameters, function.context(parts), None))
    for index in ([2], [4, 0], [3, 1, 0, 4, 2]):
        chosen = jnp.asarray(index)
        part = function(parameters, take(function.context(parts), chosen), chosen)
        np.testing.assert_allclose(part, whole[index], rtol=1e-9)
    order = np.random.default_rng(2).permutation(len(OWNER))
    mixed = Membership(parts.members[order], Groups.of(OWNER[order], 5), ("a", "b"))
    again = function.arrange(Inputs(parts.rows, members=mixed))
    other = function(parameters, function.context(again), None)
    np.testing.assert_allclose(other, whole, rtol=1e-9)


def test_it_is_exact_for_conjugate_groups_of_any_size(key):
    """z_j ~ N(0, 1), y_i ~ N(z_j, 1): the posterior is N(sum / (n + 1), 1 / (n + 1))."""
    import numpyro
    import numpyro.distributions as dist

    def model(y, group, groups):
        with numpyro.plate("groups", groups):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    generator = np.random.default_rng(0)
    group = generator.choice(12, size=80, p=np.arange(12) / 66)  # group 0 is empty
    y = (generator.normal(size=12)[group] + generator.normal(size=80)).astype(np.float32)
    bound = amortis.from_numpyro(model, y, group, 12)
    fitted = amortis.fit(bound, key=key)
    assert isinstance(fitted.guide.inference, SetNetwork)
    mean, sd = fitted.moments()["z"]
    count = np.bincount(group, minlength=12)
    total = np.bincount(group, weights=y, minlength=12)
    np.testing.assert_allclose(mean, total / (count + 1), atol=2e-3)
    np.testing.assert_allclose(sd, (count + 1) ** -0.5, rtol=2e-3)


def test_what_it_cannot_do_is_refused_in_one_line(key):
    with pytest.raises(ArgumentError, match="SetNetwork width is -1; expected at least 0"):
        SetNetwork(width=-1)
    with pytest.raises(ArgumentError, match=r"own no groups of rows.*use MLP\(\)"):
        SetNetwork().arrange(Inputs(jnp.zeros((3, 1))))
    with pytest.raises(ArgumentError, match="asks for 3 numbers"):
        SetNetwork().init(key, FunctionShape(5, 1, 3, members=2))
