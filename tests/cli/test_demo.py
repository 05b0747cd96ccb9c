"""The demonstration with stand-ins for its fits; `tests/experiments` tests those."""

import matplotlib.image
import numpy as np
import pytest

from amortis import Estimate
from amortis.cli import main
from amortis.experiments.comparison import Comparison, Reproduction
from amortis.experiments.digits import DigitsFit, DigitsResult, ExactPCA
from tests.report.small_fit import small_fit


@pytest.fixture
def stand_ins(monkeypatch) -> None:
    images = np.random.default_rng(0).uniform(size=(12, 64))
    exact = ExactPCA(-100.0, 0.2, np.eye(64), images)
    fit = DigitsFit("F-VI", small_fit(), Estimate(-112.2, 0.5), -112.0, 0.21, 0.01, images, 3.0)
    linear = Reproduction("A title", (Comparison("F-VI", "ELBO", -2.0, -2.0, 1.0),))
    module = "amortis.cli.demo"
    monkeypatch.setattr(f"{module}.linear.run", lambda *_, **__: linear)
    monkeypatch.setattr(f"{module}.run_digits", lambda **_: DigitsResult(images, exact, (fit,)))


@pytest.mark.usefixtures("stand_ins")
def test_the_demonstration_prints_two_tables_and_writes_two_plots(tmp_path, capsys) -> None:
    assert main(["demo", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1. A title" in out
    assert "2. 12 digits of 64 pixels" in out and "log evidence -100.00 nats" in out
    row = next(line for line in out.split("\n") if line.startswith("F-VI") and "CONVERGED" in line)
    assert row.split() == [
        "F-VI",
        "-112.00",
        "-112.20",
        "±",
        "0.50",
        "1.0000",
        "0.2100",
        "12",
        "3.0",
        "CONVERGED",
    ]
    shapes = {"digits_elbo.png": (600, 960), "digits_reconstructions.png": (435, 1440)}
    for name, shape in shapes.items():
        assert matplotlib.image.imread(tmp_path / name).shape[:2] == shape
