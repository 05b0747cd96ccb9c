"""The experiment of iterative inference at a test's size, on images with four pixels a side."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import amortis
from amortis.experiments.binarised import Binarised
from amortis.experiments.iterative import IterativeSize, iterative_sheet, run_iterative
from amortis.experiments.iterative.followed import StepCurve, curve_of
from amortis.experiments.iterative.methods import ASCENT, SEMI, methods
from amortis.experiments.iterative.models import one_level, two_levels
from amortis.experiments.iterative.training import train_methods
from amortis.experiments.sheet import write_sheet

pytestmark = pytest.mark.usefixtures("standard_promotion")

SIZE = IterativeSize(
    training=60,
    held_out=20,
    latent=2,
    upper=1,
    width=4,
    batch=20,
    seconds=0.2,
    checkpoints=2,
    measured=10,
    shown=10,
    most_steps=4,
    rates=(0.1,),
    surface_seconds=0.1,
    alone=20,
    alone_steps=2,
    alone_width=4,
    without=("iterative, 1 step", "iterative, 2 steps", "iterative, 16 steps", SEMI, ASCENT),
)


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    # Bars: a row or a column of four pixels is on.
    on = generator.integers(0, 8, 80)
    pixels = np.zeros((80, 4, 4), np.float32)
    for picture, which in zip(pixels, on, strict=True):
        if which < 4:
            picture[which] = 1.0
        else:
            picture[:, which - 4] = 1.0
    flat = pixels.reshape(80, 16)
    return Binarised(flat[:60], flat[60:], on[60:], 4)


@pytest.mark.parametrize("levels", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_experiment_runs_and_goes_on_where_it_stopped(levels, images, tmp_path):
    told, again = [], []
    size = SIZE if levels == 1 else dataclasses.replace(SIZE, without=())
    given = (images, levels, size)
    first = run_iterative(*given, key=jax.random.key(0), folder=tmp_path, tell=told.append)
    assert [found.name for found in first.runs] == [method.name for method in methods(size)]
    assert sum("s of training" in line for line in told) == len(first.runs)
    assert sum("on the held decoder" in line for line in told) == 1
    kept = train_methods(*given, key=jax.random.key(0), folder=tmp_path, tell=again.append)
    assert kept.runs == first.runs and not again
    # An own optimum is no worse than what a function gives, but for the noise of the draws.
    assert all(gap.gap > -4.0 * gap.gap_se - 1e-3 for gap in first.gaps)
    written = write_sheet(iterative_sheet(first, "iterative"), tmp_path, "amortis")
    assert sum(name.endswith(".png") for name in written) == (3 if levels == 1 else 2)
    numbers = json.loads((tmp_path / "iterative.json").read_text("utf8"))
    assert numbers["levels"] == levels


def test_models_are_what_they_say(images):
    key = jax.random.key(0)
    lower = amortis.from_numpyro(one_level(3, 5, 16, key), images.training)
    assert dict(lower.locals_) == {"z": (3,)}
    both = amortis.from_numpyro(two_levels(3, 2, 5, 16, key), images.training)
    assert dict(both.locals_) == {"z2": (2,), "z1": (3,)}
    assert set(both.starts) == set(both.globals_)


def test_curves_are_the_elbos_of_fewer_steps(images):
    model = amortis.from_numpyro(one_level(2, 4, 16, jax.random.key(0)), images.training)
    function = amortis.GradientAscent(rule=amortis.AdamSteps(0.1), steps=3, draws=4)
    fitted = amortis.fit(
        model,
        key=jax.random.key(0),
        inference=function,
        optimiser=amortis.ConstantRate(1e-3, iterations=5),
    )
    curve = curve_of("ascent", fitted, 6)
    for steps in (1, 6):
        elbo = amortis.with_steps(fitted, steps).elbo(key=jax.random.key(1), draws=4000)
        # The curve's own rule of 64 points is good to a thousandth here.
        assert curve.elbos[steps] == pytest.approx(
            elbo.mean / model.size, abs=4 * elbo.se / model.size + 2e-3
        )
    assert curve.reaches(curve.elbos[0]) == 0


def test_a_curve_that_never_reaches():
    assert StepCurve("flat", (-2.0, -1.0, -1.0), 0.0).reaches(-0.5) is None
    assert StepCurve("rising", (-2.0, -1.0, -0.4), 0.0).reaches(-0.5) == 2
