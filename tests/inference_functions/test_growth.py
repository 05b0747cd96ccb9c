"""A larger function starts as the smaller one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amortis.inference_functions import (
    MLP,
    Constant,
    FunctionShape,
    Parts,
    Polynomial,
    SetNetwork,
    Table,
    Windowed,
    grown,
)
from amortis.numerics import Groups

FUNCTIONS = {
    "constant": Constant(),
    "polynomial 1": Polynomial(1),
    "polynomial 2": Polynomial(2),
    "mlp": MLP(4),
    "mlp, one layer, no skip": MLP(3, 1, skip=False),
    "mlp, three layers": MLP(3, 3),
    "set network, potentials": SetNetwork(width=0),
    "set network": SetNetwork(width=3),
    "windowed": Windowed(MLP(4), (-1, 0)),
    "windowed polynomial": Windowed(Polynomial(1), (0, 1)),
}


def problem(function, generator):
    """A context of twelve units, random parameters, and the shape."""
    rows = jnp.asarray(generator.normal(size=(12, 2)), jnp.float32)
    edge = jnp.asarray([0] + [-1] * 11)
    groups = Groups.of(generator.integers(0, 12, 40), 12)
    members = jnp.asarray(generator.normal(size=(40, 3)), jnp.float32)
    edges = 1 if isinstance(function, Windowed) else 0
    shape = FunctionShape(rows=12, columns=2, outputs=4, members=3, edges=edges)
    parameters = function.init(jax.random.key(0), shape)
    leaves, structure = jax.tree.flatten(parameters)
    moved = [leaf + 0.3 * generator.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    parts = Parts(rows, edge=edge, members=members, groups=groups)
    return parts, jax.tree.unflatten(structure, moved), shape


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_gives_the_same_outputs_at_first(name):
    function = FUNCTIONS[name]
    parts, parameters, shape = problem(function, np.random.default_rng(1))
    before = function(parameters, function.context(parts), None)
    for times in range(2):
        larger = grown(function, parameters, key=jax.random.key(times + 1), shape=shape)
        assert larger is not None
        context = larger.function.context(parts)
        after = larger.function(larger.parameters, context, None)
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
        wanted = larger.function.init(jax.random.key(9), shape)
        assert jax.tree.structure(wanted) == jax.tree.structure(larger.parameters)
        assert jax.tree.map(jnp.shape, wanted) == jax.tree.map(jnp.shape, larger.parameters)
        size = sum(leaf.size for leaf in jax.tree.leaves(parameters))
        assert sum(leaf.size for leaf in jax.tree.leaves(larger.parameters)) > size
        function, parameters = larger.function, larger.parameters


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_new_can_be_learned(name):
    """Some new parameter has a slope: a unit that reads nothing and is not read has none."""
    function = FUNCTIONS[name]
    parts, parameters, shape = problem(function, np.random.default_rng(2))
    larger = grown(function, parameters, key=jax.random.key(1), shape=shape)
    context = larger.function.context(parts)
    target = jnp.asarray(np.random.default_rng(3).normal(size=(12, 4)), jnp.float32)

    def loss(values):
        return jnp.sum(jnp.square(larger.function(values, context, None) - target))

    slopes = jax.grad(loss)(larger.parameters)
    moved = jax.tree.map(lambda v, s: v - 1e-5 * s, larger.parameters, slopes)
    small = function.init(jax.random.key(0), shape)
    was = {jax.tree_util.keystr(p): v.shape for p, v in jax.tree_util.tree_leaves_with_path(small)}
    changed = 0
    for path, slope in jax.tree_util.tree_leaves_with_path(slopes):
        old = was.get(jax.tree_util.keystr(path), (0,) * slope.ndim)
        outside = np.ones(slope.shape, bool)
        if len(old) == slope.ndim:
            outside[tuple(slice(0, n) for n in old)] = False
        changed += int(np.any(np.asarray(slope)[outside] != 0))
    assert changed > 0
    assert loss(moved) < loss(larger.parameters)


def test_a_table_is_as_large_as_it_gets():
    shape = FunctionShape(rows=5, columns=1, outputs=2)
    table = Table()
    parameters = table.init(jax.random.key(0), shape)
    assert grown(table, parameters, key=jax.random.key(1), shape=shape) is None


def test_polynomials_of_many_columns_stop():
    shape = FunctionShape(rows=5, columns=200, outputs=2)
    parameters = Polynomial(1).init(jax.random.key(0), shape)
    assert grown(Polynomial(1), parameters, key=jax.random.key(1), shape=shape) is None
