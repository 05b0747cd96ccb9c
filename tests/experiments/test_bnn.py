import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import amortis
from amortis._errors import ArgumentError, DataError
from amortis.experiments.bnn import one_fit, write_figures
from amortis.experiments.bnn.fits import run_schedule
from amortis.experiments.bnn.network import bnn, weight_shapes
from amortis.experiments.bnn.pictures import Pictures, read_pictures
from amortis.experiments.bnn.race import comparisons, reached
from amortis.experiments.bnn.settings import read_bnn_settings

SETTINGS = read_bnn_settings()
LATENTS, HIDDEN, SIDE = 2, (4, 4), 4
TINY = dataclasses.replace(SETTINGS, latents=LATENTS, hidden=HIDDEN, rate=0.01)
METHODS = ("constant", "A-VI, k = 64")
SCHEDULE = dataclasses.replace(
    SETTINGS.schedule("mnist"),
    training=40,
    held_out=10,
    batch=20,
    epochs=1000,
    evaluate=250,
    methods=METHODS,
)


def pictures() -> Pictures:
    """Bars at one of four heights, brighter than images are, so that a code is worth its price."""
    generator = np.random.default_rng(7)
    images = np.full((50, SIDE, SIDE), 0.0, np.float32)
    images[np.arange(50), generator.integers(0, SIDE, 50)] = 6.0
    rows = images.reshape(50, -1)
    return Pictures("bars", rows[:40], rows[40:], SIDE)


def test_the_decoder_has_the_codes_number_of_weights():
    shapes = weight_shapes((SETTINGS.latents, *SETTINGS.hidden, 784))
    assert sum(math.prod(shape) for shape in shapes.values()) == 283_920
    assert shapes["w1"] == (64, 256)
    assert shapes["b3"] == (784,)


@pytest.mark.usefixtures("x64")
def test_the_log_joint_is_that_of_the_authors_code(key):
    x = jnp.asarray(pictures().training, float)
    model = amortis.from_numpyro(bnn(LATENTS, HIDDEN), x)
    assert dict(model.globals_) == weight_shapes((LATENTS, *HIDDEN, SIDE**2))
    keys = iter(jax.random.split(key, 7))
    theta = {n: jax.random.normal(next(keys), shape) for n, shape in model.globals_.items()}
    z = jax.random.normal(next(keys), (40, LATENTS))
    terms = model.log_terms(theta, {"z": z})
    # Their log joint by hand, then the constants that it leaves out.
    w = {name: np.asarray(value) for name, value in theta.items()}
    mean = np.asarray(z)
    for layer in "123":
        mean = mean @ w[f"w{layer}"] + w[f"b{layer}"]
        mean = np.where(mean > 0, mean, 0.2 * mean) if layer < "3" else mean
    squares = sum(np.square(value).sum() for value in w.values())
    local = -np.square(np.asarray(x) - mean).sum(1) - 0.5 * np.square(z).sum(1)
    weights = sum(value.size for value in w.values())
    constant = stats.norm(0, math.sqrt(0.5)).logpdf(0)
    np.testing.assert_allclose(terms.prior, weights * constant - squares, rtol=1e-12)
    expected = local + SIDE**2 * constant + LATENTS * stats.norm.logpdf(0)
    np.testing.assert_allclose(terms.local, expected, rtol=1e-12)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("bnn")
    made = run_schedule(TINY, SCHEDULE, pictures(), key=jax.random.key(1), out=out)
    return made, out


def test_a_function_of_the_image_reconstructs_better_than_one_factor_for_all(result):
    runs = {name: each[0] for name, each in result[0].runs.items()}
    constant, amortized = runs["constant"], runs["A-VI, k = 64"]
    # One factor for all can show the average image at best, whose error is the pixels' variance.
    variance = float(pictures().training.var(axis=0).mean())
    assert constant.training_mse[-1] > 0.9 * variance
    assert amortized.training_mse[-1] < 0.1 * variance
    assert amortized.held_out_mse[-1] < 0.1 * variance
    for one in runs.values():
        np.testing.assert_array_equal(one.epochs, [250, 500, 750, 1000])
        assert (np.diff(one.seconds) > 0).all()
        assert one.training_shown.shape == (8, SIDE**2)
        assert one.held_out_shown.shape == (8, SIDE**2)
    assert amortized.elbo[-1] > constant.elbo[-1]


def test_the_errors_are_those_of_the_reconstructions(monkeypatch):
    monkeypatch.setattr(one_fit, "SHOWN", 40)
    short = dataclasses.replace(SCHEDULE, epochs=2, evaluate=1, methods=("A-VI, k = 64",))
    made = run_schedule(TINY, short, pictures(), key=jax.random.key(1))
    one = made.runs["A-VI, k = 64"][0]
    for shown, images, error in (
        (one.training_shown, made.pictures.training, one.training_mse),
        (one.held_out_shown, made.pictures.held_out, one.held_out_mse),
    ):
        assert np.square(shown - images).mean() == pytest.approx(error[-1], rel=1e-5)


def test_finished_fits_are_taken_over_and_damaged_ones_are_made_again(result, capsys, monkeypatch):
    made, out = result
    kept = sorted(out.glob("*.npz"))
    assert [p.name.rpartition("-")[0] for p in kept] == [
        "bnn-mnist_A-VI_k_64_seed_0",
        "bnn-mnist_constant_seed_0",
    ]
    kept[1].write_bytes(kept[1].read_bytes()[:100])
    fitted: list[str] = []

    def monitor_for(name: str) -> None:
        fitted.append(name)

    again = run_schedule(
        TINY, SCHEDULE, pictures(), key=jax.random.key(1), monitor_for=monitor_for, out=out
    )
    assert fitted == ["bnn-mnist, constant, seed 0"]
    assert "is damaged (DataError); this part is made again" in capsys.readouterr().err
    for name in METHODS:  # bit for bit, whether kept or made again
        before, after = made.runs[name][0], again.runs[name][0]
        for field in ("elbo", "training_mse", "held_out_mse", "training_shown"):
            np.testing.assert_array_equal(getattr(before, field), getattr(after, field))


def test_lines_and_figures(result, tmp_path):
    made, _ = result
    found = made.reproduction()
    lines = {(line.name, line.quantity): line for line in found.lines}
    assert lines["constant", "epochs to MSE 0.03"].note == "never"
    assert math.isnan(lines["A-VI, k = 64", "MSE"].reference)  # printed for another schedule
    assert "40 images" in found.title
    files = write_figures(made, tmp_path)
    assert [f.suffix for f in files] == [".csv", ".png", ".png"]
    rows = files[0].read_text().splitlines()
    assert len(rows) == 1 + 2 * 4
    assert rows[0] == "method,seed,epoch,seconds,elbo,mse,held_out_mse"


def test_who_is_there_first(result):
    one = result[0].runs["constant"][0]
    epochs = np.arange(1.0, 5.0)

    def path(*errors: float) -> tuple[object, ...]:
        return (
            dataclasses.replace(
                one, epochs=epochs, seconds=epochs, training_mse=np.asarray(errors)
            ),
        )

    slow, fast = path(0.2, 0.1, 0.05, 0.04), path(0.1, 0.04, 0.03, 0.03)
    assert reached(epochs, np.asarray([0.2, 0.04, 0.05, 0.01]), 0.04) == 2.0
    assert math.isnan(reached(epochs, np.ones(4), 0.04))
    published = dataclasses.replace(SCHEDULE, printed=True, held_out=0)
    lines = comparisons(TINY, published, {"F-VI": slow, "A-VI, k = 64": fast})
    found = {(line.name, line.quantity): (line.reference, line.result) for line in lines}
    assert found["A-VI, k = 64", "time to F-VI's last MSE, of F-VI's"][1] == 0.5
    assert found["A-VI, k = 64", "epochs to MSE 0.03"] == (1821, 3.0)
    assert found["F-VI", "MSE"] == (0.0268, 0.04)


def test_a_table_has_no_held_out_error():
    schedule = dataclasses.replace(SCHEDULE, methods=("F-VI",), epochs=1, evaluate=1)
    made = run_schedule(TINY, schedule, pictures(), key=jax.random.key(1))
    one = made.runs["F-VI"][0]
    assert np.isnan(one.held_out_mse).all()
    assert one.held_out_shown.shape == (0, SIDE**2)
    assert one.parameters == 2 * 112 + 2 * 40 * LATENTS
    write = {line.quantity: line.note for line in made.reproduction().lines}
    assert write["MSE, held out"] == "no function for new images"


def test_settings():
    published = SETTINGS.schedule("published")
    assert (published.training, published.epochs, published.per_epoch) == (10_000, 5000, 10)
    for schedule in SETTINGS.schedules.values():
        assert set(schedule.methods) <= set(SETTINGS.methods)
        assert schedule.epochs % schedule.evaluate == 0
    with pytest.raises(ArgumentError, match="did you mean 'short'"):
        SETTINGS.schedule("shrot")


def test_too_few_images(tmp_path):
    from tests.data.image_server import small_set

    for name, content in small_set(5).items():
        (tmp_path / name).write_bytes(content)
    schedule = dataclasses.replace(SCHEDULE, data="mnist", part="train", held_out_part="train")
    with pytest.raises(DataError, match=r"has 5 images of MNIST, but .* takes 50; expected"):
        read_pictures(schedule, tmp_path)
    few = dataclasses.replace(schedule, training=3, held_out=2)
    found = read_pictures(few, tmp_path)
    assert (found.training.shape, found.held_out.shape, found.height) == ((3, 12), (2, 12), 4)
    assert float(found.training.max()) <= 1.0
