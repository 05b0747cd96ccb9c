"""`amortis fit` from files to files, against the closed form of the linear model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from amortis import FreshDraws
from amortis.cli import main
from amortis.cli.progress import PlainProgress
from tests.exact_models.linear import Linear

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS, TAU, SIGMA = 400, 1.155, 2.43


@pytest.fixture(scope="module")
def exact() -> Linear:
    x = 1.3 + np.random.default_rng(0).normal(scale=np.hypot(TAU, SIGMA), size=ROWS)
    return Linear(np.asarray(x, np.float32).astype(np.float64), TAU, SIGMA)


@pytest.fixture(scope="module")
def rows(tmp_path_factory, exact) -> Path:
    file = tmp_path_factory.mktemp("data") / "rows.csv"
    np.savetxt(file, exact.x, header="x", comments="", fmt="%.9g")
    return file


def arguments(rows: Path, *more: str) -> list[str]:
    model = f"{EXAMPLES / 'linear.py'}:model"
    return ["fit", model, "--data", str(rows), "--inference", "polynomial:1", *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, rows) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One run in a process of its own, with its folder."""
    out = tmp_path_factory.mktemp("out") / "new" / "folder"
    command = [sys.executable, "-W", "error", "-m", "amortis.cli"]
    done = subprocess.run(
        [*command, *arguments(rows, "--out", str(out), "--draws", "2000", "--set", f"tau={TAU}")],
        capture_output=True,
        text=True,
    )
    return out, done


def test_it_ends_well_and_says_what_it_found(finished, exact) -> None:
    out, done = finished
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert "rows     400, along 'rows'" in lines
    assert any(line.startswith("status    CONVERGED: ") for line in lines)
    assert any(" nats, total (" in line and "per datum" in line for line in lines)
    _, mean, sd = next(line for line in lines if line.startswith("theta")).split()
    assert (float(mean), float(sd)) == pytest.approx((exact.theta[0], exact.theta[1] ** 0.5), 0.03)
    assert f"written to {out}: numbers.json" in done.stdout


def test_progress_goes_to_the_error_stream_in_plain_lines(finished) -> None:
    lines = finished[1].stderr.rstrip("\n").split("\n")
    assert len(lines) >= 2
    assert all(line.startswith("fit: ELBO ") and " iterations, " in line for line in lines)


def test_the_numbers_agree_with_the_closed_form(finished, exact) -> None:
    numbers = json.loads((finished[0] / "numbers.json").read_text())
    elbo = numbers["elbo"]
    assert abs(elbo["mean"] - exact.elbo) < 5 * elbo["se"] + 0.02
    assert elbo["per_datum"] == pytest.approx(elbo["mean"] / ROWS)
    assert numbers["status"]["settled"] is True
    assert (numbers["parameters"], numbers["rows"], numbers["seed"]) == (2 + 2 * 2, ROWS, 0)
    assert numbers["set"] == {"tau": TAU}
    theta = numbers["globals"]["theta"]
    sd = exact.theta[1] ** 0.5
    assert abs(theta["mean"] - exact.theta[0]) < 0.1 * sd
    assert theta["sd"] == pytest.approx(sd, rel=0.03)


def test_the_draws_and_moments_agree_with_the_closed_form(finished, exact) -> None:
    (theta, variance), (z, z_variance) = exact.theta, exact.z
    with np.load(finished[0] / "draws.npz") as archive:
        draws = {name: archive[name] for name in archive}
    assert {name: of.shape for name, of in draws.items()} == {"theta": (2000,), "z": (2000, ROWS)}
    error = np.sqrt(variance / 2000)  # one draw in five standard errors and a tenth of an sd
    assert abs(draws["theta"].mean() - theta) < 5 * error + 0.1 * variance**0.5
    with np.load(finished[0] / "local_moments.npz") as archive:
        mean, sd = archive["z.mean"], archive["z.sd"]
    scaled = (mean - z) / z_variance**0.5
    assert np.sqrt(np.mean(scaled**2)) < 0.05
    np.testing.assert_allclose(sd, z_variance**0.5, rtol=0.03)
    np.testing.assert_allclose(draws["z"].mean(axis=0), mean, atol=6 * z_variance**0.5 / 2000**0.5)


def test_the_plots_are_pictures_of_the_right_size(finished) -> None:
    assert matplotlib.image.imread(finished[0] / "elbo.png").shape == (600, 960, 4)
    assert matplotlib.image.imread(finished[0] / "globals.png").shape == (198, 900, 4)


def test_nothing_else_is_left_in_the_folder(finished) -> None:
    assert sorted(path.name for path in finished[0].iterdir()) == [
        "draws.npz",
        "elbo.png",
        "fit.amortis",
        "globals.png",
        "local_moments.npz",
        "numbers.json",
    ]


def test_a_fit_that_has_not_settled_exits_with_4_and_writes(
    rows, tmp_path, monkeypatch, capsys
) -> None:
    place = "amortis.cli.fit_options.parse_optimiser"
    monkeypatch.setattr(place, lambda text: FreshDraws(iterations=40))
    more = ["--out", str(tmp_path), "--optimiser", "fresh", "--draws", "10"]
    assert main(arguments(rows, *more)) == 4
    assert "status    ITERATIONS_EXHAUSTED: " in capsys.readouterr().out
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["status"]["settled"] is False
    assert (tmp_path / "draws.npz").exists()


def test_ctrl_c_keeps_the_best_state_and_writes_it(rows, tmp_path, monkeypatch, capsys) -> None:
    show = PlainProgress.monitor_for

    def monitor_for(self, name):
        inner = show(self, name)

        def monitor(progress, parameters):
            inner(progress, parameters)
            raise KeyboardInterrupt

        return monitor

    monkeypatch.setattr(PlainProgress, "monitor_for", monitor_for)
    more = ["--out", str(tmp_path), "--optimiser", "fresh", "--draws", "10"]
    assert main(arguments(rows, *more)) == 130
    assert "status    INTERRUPTED: " in capsys.readouterr().out
    assert json.loads((tmp_path / "numbers.json").read_text())["status"]["name"] == "INTERRUPTED"
    with np.load(tmp_path / "draws.npz") as archive:
        assert archive["theta"].shape == (10,)


@pytest.fixture
def default_interrupt():
    """A suite in the background of a shell ignores the signal, and its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child")
def test_a_process_of_its_own_takes_the_signal(tmp_path, exact, default_interrupt) -> None:
    file = tmp_path / "rows.npz"
    np.savez(file, x=np.tile(exact.x, 500))  # large enough to run on for long after its first line
    more = ["--out", str(tmp_path / "o"), "--optimiser", "fresh:100000", "--draws", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "amortis.cli", *arguments(file, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert first.startswith("fit: ELBO ")
    assert process.returncode == 130, out + err
    assert "status    INTERRUPTED: " in out
    assert "Traceback" not in err
    assert json.loads((tmp_path / "o" / "numbers.json").read_text())["status"]["settled"] is False


def test_images_from_an_idx_file_are_fitted_by_the_example(tmp_path, capsys) -> None:
    generator = np.random.default_rng(0)
    code, loadings = generator.normal(size=(60, 2)), generator.normal(size=(2, 12))
    images = np.clip(128 + 30 * code @ loadings, 0, 255).astype(np.uint8).reshape(60, 3, 4)
    header = bytes([0, 0, 0x08, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape)
    (tmp_path / "t-images-idx3-ubyte").write_bytes(header + images.tobytes())
    model, file = f"{EXAMPLES / 'ppca.py'}:model", str(tmp_path / "t-images-idx3-ubyte")
    choices = ["--inference", "polynomial:1", "--globals", "point", "--set", "latents=2"]
    out = ["--out", str(tmp_path), "--draws", "20"]
    code = main(["fit", model, "--data", file, *choices, *out])
    out = capsys.readouterr().out
    assert code in (0, 4), out
    assert "globals  W (12 x 2), mu (12), sigma" in out and "inputs   x (12 columns)" in out
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    # Bytes become 0..1, and two latents explain all but the rounding and the clipping.
    mean = np.asarray(numbers["globals"]["mu"]["mean"])
    np.testing.assert_allclose(mean, images.reshape(60, 12).mean(axis=0) / 255, atol=0.02)
    assert numbers["globals"]["sigma"]["mean"] < 0.05
    assert numbers["globals"]["sigma"]["sd"] == 0.0
