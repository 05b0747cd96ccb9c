"""Steps of functions that read many columns, and the rate that is chosen on the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amortis import MLP, FreshDraws, Status, Table, Windowed, fit, from_density
from amortis.inference_functions import FunctionShape

KEY = jax.random.key(3)


@pytest.mark.parametrize("restarts", [(), (3,)])
def test_what_reads_the_context_moves_by_the_root_of_its_columns_less(restarts):
    function = MLP(width=4, depth=2)
    parameters = function.init(KEY, FunctionShape(5, 16, 3))
    stacked = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (*restarts, *leaf.shape)), parameters
    )
    assert function.step_sizes(stacked) == {
        "layers": [{"weight": 0.25, "bias": 1.0}, {"weight": 1.0, "bias": 1.0}],
        "last": 1.0,
        "bias": 1.0,
        "skip": 0.25,
    }


def test_a_window_asks_its_inner_function():
    window = Windowed(MLP(width=4), offsets=(-1, 0))
    inner = MLP(width=4).init(KEY, FunctionShape(5, 4, 3))
    sizes = window.step_sizes({"inner": inner, "edges": jnp.zeros(2)})
    assert sizes["inner"]["skip"] == 0.5
    assert sizes["edges"] == 1.0


def images(columns):
    """A factor model of columns that all move together: z explains all of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, columns))
    return from_density(
        lambda theta: -0.5 * theta["m"] ** 2,
        lambda theta, z, x: -0.5 * (z["z"] ** 2 + jnp.sum((x - z["z"] - theta["m"]) ** 2)),
        x.astype(np.float32),
        globals_={"m": ()},
        locals_={"z": ()},
    )


def test_a_network_of_many_columns_takes_steps_of_a_hundredth():
    model = images(800)
    at_hundredth = FreshDraws(rate=0.01, iterations=400)
    fitted = fit(model, key=KEY, inference=MLP(), optimiser=at_hundredth)
    # It ends at -2.1e4 nats; with the columns' weights moved like all others it is at -1e21.
    assert fitted.history.objective.min() > -1e5


def test_the_ladder_spends_its_trials_and_goes_on_from_the_best():
    model, seen = images(4), []
    fitted = fit(
        model,
        key=KEY,
        inference=Table(),
        optimiser=FreshDraws(),
        monitor=lambda now, current: seen.append(now.iterations),
    )
    # Blocks of 40 steps; three trials of two blocks at least, then one block at a time.
    trials = [n for n in seen if n % 80 == 0][:3]
    assert trials == [80, 160, 240]
    assert seen[seen.index(240) + 1] in (280, 320)
    exact = fit(model, key=KEY, inference=Table())
    assert fitted.status in (Status.CONVERGED, Status.STALLED)
    gap = (exact.elbo(key=KEY, draws=512).mean - fitted.elbo(key=KEY, draws=512).mean) / model.size
    assert abs(gap) < 5e-3
