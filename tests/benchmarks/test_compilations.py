"""What docs/speed.md says compiles nothing new."""

import sys
from pathlib import Path

import jax
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from compilations import Watch

import amortis
from amortis.experiments import linear


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def test_another_key_more_restarts_and_other_data_compile_nothing(watch) -> None:
    # A number of rows that no other test has, so that the first fit does compile.
    # Binding compiles its check of the model every time, so it is done outside.
    rows, others = (
        amortis.from_numpyro(linear.model, linear.simulate(137, seed=seed)) for seed in (0, 1)
    )

    def fitted(model: amortis.LatentModel, seed: int, restarts: int = 1) -> object:
        fit = amortis.fit(
            model, key=jax.random.key(seed), inference=amortis.MLP(5), restarts=restarts
        )
        return fit.variational

    assert "advance" in watch.run(lambda: fitted(rows, 0)).compiled
    for again in (
        lambda: fitted(rows, 1),
        lambda: fitted(rows, 2, restarts=3),
        lambda: fitted(others, 0),
    ):
        assert watch.run(again).compiled == {}


def test_draws_that_grow_compile_nothing_where_rows_share_them(watch) -> None:
    model = amortis.from_numpyro(linear.model, linear.simulate(139, seed=0))

    def fitted(draws: int) -> amortis.Fit:
        return amortis.fit(
            model,
            key=jax.random.key(0),
            inference=amortis.MLP(5),
            optimiser=amortis.FixedDraws(draws=draws),
        )

    run = watch.run(lambda: fitted(16))
    assert run.result.history.draws[-1] > run.result.history.draws[0]
    assert run.compiled["advance"] == 1
