"""The loop and both methods on losses whose minima are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from amortis import ArgumentError, FixedDraws, FreshDraws, Plateau, Status
from amortis.optimise import minimise, minimise_in_turn
from tests.optimise import toys
from tests.optimise.toys import Toy

KEY = jax.random.key(3)
FRESH = FreshDraws(rate=0.1, plateau=Plateau(tolerance=1e-3))
METHODS = {"fixed": FixedDraws(), "fresh": FRESH}


def starts(*points):
    return jnp.asarray(points, jnp.result_type(float))


@pytest.mark.parametrize("name", METHODS)
def test_a_bowl_is_minimised(name):
    outcome = minimise(METHODS[name], Toy(toys.bowl, 2), starts([4.0, -3.0]), key=KEY)
    assert outcome.status is Status.CONVERGED
    np.testing.assert_allclose(outcome.parameters, [1.0, 1.0], atol=0.02)
    # Objectives are minus the loss, in total.
    np.testing.assert_allclose(outcome.history.objective[-1], -300.0, atol=0.5)


def test_restarts_in_turn_keep_the_best_that_is_sound_and_know_their_time():
    loss = Toy(toys.two_wells, 1)
    outcome = minimise_in_turn(FixedDraws(), loss, starts([1.5], [-1.5], [1.4]), key=KEY)
    np.testing.assert_allclose(outcome.parameters, [1.06], atol=0.01)
    alone = minimise(FixedDraws(), loss, starts([1.5]), key=KEY)
    np.testing.assert_array_equal(outcome.parameters, alone.parameters)
    # The second well is worse, and a start where nothing is finite is never kept.
    walled = minimise_in_turn(FixedDraws(), Toy(toys.walled, 1), starts([2.0], [0.5]), key=KEY)
    np.testing.assert_allclose(walled.parameters, [1.0], atol=0.01)
    assert walled.history.seconds[0] > 0


def test_ctrl_c_in_a_later_restart_keeps_the_earlier_one():
    seen = []

    def monitor(progress, current):
        seen.append(progress.iterations)
        if len(seen) > 1 and progress.iterations <= seen[-2]:
            raise KeyboardInterrupt

    loss = Toy(toys.two_wells, 1)
    outcome = minimise_in_turn(FixedDraws(), loss, starts([1.5], [-1.5]), key=KEY, monitor=monitor)
    assert outcome.status is Status.INTERRUPTED
    np.testing.assert_allclose(outcome.parameters, [1.06], atol=0.01)


@pytest.mark.parametrize("name", METHODS)
def test_noise_is_averaged_out(name):
    loss = Toy(toys.bowl, 2, scale=0.1)
    outcome = minimise(METHODS[name], loss, starts([4.0, -3.0]), key=KEY)
    assert outcome.status in (Status.CONVERGED, Status.STALLED, Status.DRAWS_EXHAUSTED)
    np.testing.assert_allclose(outcome.parameters, [1.0, 1.0], atol=0.05)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_key_gives_the_same_outcome_and_another_gives_another(name):
    loss = Toy(toys.bowl, 2, scale=0.3)
    one, same, other = (
        minimise(METHODS[name], loss, starts([4.0, -3.0]), key=jax.random.key(seed))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.parameters, same.parameters)
    np.testing.assert_array_equal(one.history.objective, same.history.objective)
    assert one.status is same.status
    assert not np.array_equal(one.parameters, other.parameters)


@pytest.mark.parametrize("name", METHODS)
def test_history_runs_forward(name):
    history = minimise(
        METHODS[name], Toy(toys.bowl, 2, scale=0.1), starts([4.0, -3.0]), key=KEY
    ).history
    blocks = len(history.seconds)
    assert blocks >= 2
    assert history.objective.shape == history.draws.shape == history.iterations.shape == (blocks,)
    assert history.seconds[0] > 0
    assert (np.diff(history.seconds) > 0).all()
    assert (np.diff(history.iterations) > 0).all()
    assert (np.diff(history.draws) >= 0).all()
    assert np.isfinite(history.objective).all()


@pytest.mark.parametrize("name", METHODS)
def test_restarts_run_together_and_the_best_is_returned(name):
    loss = Toy(toys.two_wells, 1)
    alone = minimise(METHODS[name], loss, starts([-1.1]), key=KEY)
    assert float(alone.parameters[0]) < -0.8  # the wrong well holds what starts in it
    for order in ([-1.1], [0.9]), ([0.9], [-1.1]):
        outcome = minimise(METHODS[name], loss, starts(*order), key=KEY)
        assert outcome.status is Status.CONVERGED
        np.testing.assert_allclose(outcome.parameters, [1.0575], atol=0.02)


@pytest.mark.parametrize("name", METHODS)
def test_a_restart_that_is_not_finite_does_not_spoil_the_others(name):
    loss = Toy(toys.walled, 1)
    outcome = minimise(METHODS[name], loss, starts([3.0], [-2.0]), key=KEY)
    np.testing.assert_allclose(outcome.parameters, [1.0], atol=0.02)
    assert outcome.status is Status.CONVERGED


@pytest.mark.parametrize(
    "method",
    [
        FixedDraws(),
        FreshDraws(rate=2.0),  # the first steps of Adam are as long as the rate: into the wall
        FreshDraws(optimizer=optax.sgd(1.9)),
    ],
)
def test_regions_that_are_not_finite_are_rolled_back(method):
    outcome = minimise(method, Toy(toys.walled, 2), starts([0.2, -4.0]), key=KEY)
    assert outcome.status in (Status.CONVERGED, Status.STALLED)
    assert np.isfinite(outcome.history.objective).all()
    np.testing.assert_allclose(outcome.parameters, [1.0, 1.0], atol=0.05)


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_that_is_finite_nowhere_diverges_and_keeps_its_start(name):
    outcome = minimise(METHODS[name], Toy(toys.nowhere, 2), starts([0.5, -0.5]), key=KEY)
    assert outcome.status is Status.DIVERGED
    np.testing.assert_allclose(outcome.parameters, [0.5, -0.5], atol=1e-6)
    assert not np.isfinite(outcome.history.objective[0])


def test_draws_that_turn_the_loss_non_finite_keep_the_last_finite_state():
    loss = Toy(toys.bowl, 2, bad_draws=8)
    outcome = minimise(FixedDraws(), loss, starts([4.0, -3.0]), key=KEY)
    assert outcome.status is Status.DIVERGED
    np.testing.assert_allclose(outcome.parameters, [1.0, 1.0], atol=0.02)


def test_draws_are_exhausted_where_the_optimum_still_moves():
    loss = Toy(toys.bowl, 2, scale=3.0)
    method = FixedDraws(draws=3, most_draws=16, tolerance=1e-6)
    outcome = minimise(method, loss, starts([4.0, -3.0]), key=KEY)
    assert outcome.status is Status.DRAWS_EXHAUSTED
    assert list(np.unique(outcome.history.draws)) == [4, 8, 16]


@pytest.mark.parametrize(
    "method", [FixedDraws(evaluations=1), FreshDraws(rate=1e-3, iterations=50)]
)
def test_iterations_are_exhausted_before_the_loss_has_settled(method):
    outcome = minimise(method, Toy(toys.bowl, 4), starts([9.0, -9.0, 9.0, 9.0]), key=KEY)
    assert outcome.status is Status.ITERATIONS_EXHAUSTED
    assert len(outcome.history.seconds) <= 2
    assert not outcome.status.settled


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("after", [1, 2])
def test_an_interruption_returns_the_state_of_the_moment(name, after):
    seen = []

    def monitor(progress, parameters):
        seen.append((progress, np.asarray(parameters())))
        if len(seen) == after:
            raise KeyboardInterrupt

    loss = Toy(toys.bowl, 2, scale=0.3)
    outcome = minimise(METHODS[name], loss, starts([4.0, -3.0]), key=KEY, monitor=monitor)
    assert outcome.status is Status.INTERRUPTED
    assert len(outcome.history.seconds) == after == len(seen)
    progress, parameters = seen[-1]
    np.testing.assert_array_equal(outcome.parameters, parameters)
    assert progress.objective == outcome.history.objective[-1]


def test_an_interruption_before_there_is_a_state_is_passed_on():
    @dataclasses.dataclass(frozen=True)
    class Interrupted:
        def init(self, loss, starts, key):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimise.__wrapped__(Interrupted(), Toy(toys.bowl, 2), starts([4.0, -3.0]), key=KEY)


@pytest.mark.parametrize("name", METHODS)
def test_progress_is_a_fraction_and_tells_draws_and_noise(name):
    seen = []
    minimise(
        METHODS[name],
        Toy(toys.bowl, 2, scale=0.1),
        starts([4.0, -3.0]),
        key=KEY,
        monitor=lambda progress, _: seen.append(progress),
    )
    assert all(0.0 <= progress.fraction <= 1.0 for progress in seen)
    assert seen[-1].fraction == 1.0
    assert all((progress.noise is None) == (name == "fixed") for progress in seen)
    assert all(progress.draws >= 1 for progress in seen)


def test_progress_stays_a_fraction_past_the_last_iteration():
    seen = []
    minimise(
        FreshDraws(rate=1e-3, iterations=3),
        Toy(toys.bowl, 2),
        starts([4.0, -3.0]),
        key=KEY,
        monitor=lambda progress, _: seen.append(progress.fraction),
    )
    assert max(seen) == 1.0


@pytest.mark.parametrize("start", [[40.0, -30.0], [1.5, 0.5]], ids=["far", "near"])
def test_the_learning_rate_is_chosen_to_suit_the_start(start):
    outcome = minimise(FreshDraws(), Toy(toys.bowl, 2), starts(start), key=KEY)
    assert outcome.status is Status.CONVERGED
    np.testing.assert_allclose(outcome.parameters, [1.0, 1.0], atol=0.05)


def test_minibatches_see_every_row():
    rows = jnp.linspace(-1.0, 3.0, 64)

    class Means(Toy):
        def value(self, parameters, noise, index):
            batch = rows if index is None else rows[index]
            return 0.5 * jnp.mean((parameters - batch) ** 2)

    loss = Means(toys.bowl, 1, size=64)
    outcome = minimise(FreshDraws(batch=8, rate=0.1), loss, starts([5.0]), key=KEY)
    assert outcome.status is Status.CONVERGED
    np.testing.assert_allclose(outcome.parameters, [1.0], atol=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedDraws(draws=0), "FixedDraws draws is 0; expected at least 1"),
        (lambda: FixedDraws(most_draws=0), "FixedDraws most_draws is 0"),
        (lambda: FixedDraws(evaluations=0), "FixedDraws evaluations is 0"),
        (lambda: FixedDraws(memory=-1), "FixedDraws memory is -1"),
        (lambda: FixedDraws(tolerance=0.0), r"FixedDraws tolerance is 0\.0; expected a positive"),
        (lambda: FixedDraws(sd_tolerance=-1.0), r"FixedDraws sd_tolerance is -1\.0"),
        (lambda: FreshDraws(draws=0), "FreshDraws draws is 0; expected at least 1"),
        (lambda: FreshDraws(batch=0), "FreshDraws batch is 0"),
        (lambda: FreshDraws(iterations=0), "FreshDraws iterations is 0"),
        (lambda: FreshDraws(rate=0.0), r"FreshDraws rate is 0\.0; expected a positive number"),
    ],
)
def test_choices_out_of_range_are_refused_in_one_line(make, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_every_status_is_one_sentence():
    for status in Status:
        assert status.value[0].isupper()
        assert status.value.endswith(".")
        assert "\n" not in status.value
        assert ". " not in status.value
        assert str(status) == f"{status.name}: {status.value}"
    assert Status.CONVERGED.settled
    ended_early = (Status.DIVERGED, Status.INTERRUPTED, Status.ITERATIONS_EXHAUSTED)
    assert not any(status.settled for status in ended_early)
