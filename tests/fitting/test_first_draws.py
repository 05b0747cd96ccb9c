"""When fixed draws leave the few that they start with."""

import jax
import numpy as np
import pytest

from amortis import MLP, Fit, FixedDraws, Status, Table, fit, from_numpyro
from amortis.experiments import linear, nonlinear
from amortis.experiments.comparison import Setting

SIZE = 2000


def grown_at(fitted: Fit) -> dict[int, int]:
    """Evaluations after which each number of draws was taken up."""
    draws, first = np.unique(fitted.history.draws, return_index=True)
    return dict(zip(draws.tolist(), np.asarray(fitted.history.iterations)[first], strict=True))


@pytest.mark.parametrize("function", [MLP(16), Table()], ids=["mlp", "table"])
def test_a_short_rule_that_a_curved_model_fits_is_left_early(function):
    x = nonlinear.simulate(Setting.PAPER, SIZE, seed=0).x
    model = from_numpyro(nonlinear.model, x)
    fitted = fit(model, key=jax.random.key(0), inference=function)
    at = grown_at(fitted)
    assert list(at)[:3] == [8, 16, 64]
    # Left where it was looked at; four nodes are settled after up to 800.
    assert at[16] in (12, 24, 48)
    # What is found at last is what quadrature measures: 0.01 nats per datum.
    exact = nonlinear.exact_elbo(fitted, x, Setting.PAPER)
    assert fitted.history.objective[-1] == pytest.approx(exact, abs=0.01 * SIZE)


@pytest.mark.parametrize("function", [MLP(16), Table()], ids=["mlp", "table"])
def test_a_rule_that_is_exact_is_kept_until_it_has_settled(function):
    model = from_numpyro(linear.model, linear.simulate(SIZE, seed=0))
    fitted = fit(model, key=jax.random.key(0), inference=function)
    assert fitted.status is Status.CONVERGED
    assert list(grown_at(fitted)) == [8, 64]


def test_no_more_draws_than_allowed_are_taken_up_early():
    x = nonlinear.simulate(Setting.PAPER, SIZE, seed=0).x
    model = from_numpyro(nonlinear.model, x)
    few = FixedDraws(draws=8, most_draws=8, evaluations=96)
    fitted = fit(model, key=jax.random.key(0), inference=MLP(16), optimiser=few)
    assert fitted.status is Status.ITERATIONS_EXHAUSTED
    assert set(fitted.history.draws) == {8}
