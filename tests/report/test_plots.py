"""Plots are decoded again: a PNG of the right size, on which the ink is where it should be."""

import subprocess
import sys
from dataclasses import dataclass

import matplotlib.image
import numpy as np
import pytest

from amortis._errors import ArgumentError, MissingDependencyError
from amortis.report import plot_elbo, plot_globals, plot_images
from amortis.report.plots import elbo_limits


@dataclass(frozen=True)
class Trace:
    seconds: np.ndarray
    objective: np.ndarray


BLUE = np.array([0x00, 0x72, 0xB2]) / 255
ORANGE = np.array([0xD5, 0x5E, 0x00]) / 255


def trace(end: float, ascent: float = 1e6) -> Trace:
    seconds = np.linspace(0.5, 5.0, 40)
    return Trace(seconds, end - ascent * np.exp(-5.0 * seconds))


def pixels_near(image: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Rows (from the top) of the pixels of a color."""
    return np.nonzero(np.abs(image[..., :3] - color).max(axis=-1) < 0.02)[0]


def test_elbo_shows_every_fit_above_the_steep_start(tmp_path) -> None:
    plot_elbo(
        {"good": trace(-6000.0), "bad": trace(-7000.0)},
        tmp_path / "elbo.png",
        reference=("log evidence", -5990.0),
        size=1000,
        title="Linear",
    )
    image = matplotlib.image.imread(tmp_path / "elbo.png")
    assert image.shape == (600, 960, 4)
    good, bad = pixels_near(image, BLUE), pixels_near(image, ORANGE)
    assert len(good) > 500 and len(bad) > 500
    # Higher is better; the legend's entries are few pixels beside the curves'.
    assert np.median(good) + 100 < np.median(bad)


def test_limits_hold_all_ends_and_the_reference_but_not_the_start() -> None:
    good, bad = trace(-6.0, 1e3).objective, trace(-7.0, 1e3).objective
    low, high = elbo_limits([good, bad], -5.9)
    assert good[0] < low < -7.0 and high > -5.9
    assert (high - low) < 3.0


def test_limits_of_a_fit_that_arrives_at_once_do_not_magnify_rounding() -> None:
    low, high = elbo_limits([np.array([-2.3667311, -2.3667314, -2.3667311])], None)
    assert low < -2.36675 and high > -2.36671
    low, high = elbo_limits([np.zeros(3)], None)
    assert low < 0.0 < high


def test_limits_are_not_set_by_one_step_gone_astray() -> None:
    objective = trace(-6.0, 1e3).objective
    objective[30] = -1e25
    assert elbo_limits([objective], None)[0] > -100.0


def test_values_that_are_not_finite_are_left_out(tmp_path) -> None:
    broken = Trace(np.arange(4.0), np.array([-np.inf, np.nan, -3.0, -2.0]))
    plot_elbo({"broken": broken}, tmp_path / "elbo.png")
    assert len(pixels_near(matplotlib.image.imread(tmp_path / "elbo.png"), BLUE)) > 100


def test_without_a_finite_value_there_is_nothing_to_plot(tmp_path) -> None:
    empty = Trace(np.zeros(0), np.zeros(0))
    broken = Trace(np.arange(2.0), np.full(2, np.nan))
    with pytest.raises(ArgumentError, match="none of the 2 histories has a finite objective"):
        plot_elbo({"a": empty, "b": broken}, tmp_path / "elbo.png")
    assert list(tmp_path.iterdir()) == []


def test_images_are_drawn_in_their_places_on_one_scale(tmp_path) -> None:
    first = np.zeros((3, 8, 8))
    first[1] = 1.0  # black; the others are white
    second = 1.0 - first
    plot_images({"data": first, "fit": second}, tmp_path / "images.png")
    image = matplotlib.image.imread(tmp_path / "images.png")[..., 0]
    height, width = image.shape
    assert (height, width) == (int(150 * (0.35 + 0.85 * 2)), int(150 * (1.6 + 0.8 * 3)))
    rows = np.nonzero(image < 0.02)[0]
    in_first = (rows < height / 2).sum()
    assert 1.8 < (rows >= height / 2).sum() / in_first < 2.3  # two black squares under one
    assert in_first > 100 * 100 * 0.5


@pytest.mark.parametrize(
    "rows",
    [{}, {"a": np.zeros((0, 8, 8))}, {"a": np.zeros((2, 8, 8)), "b": np.zeros((3, 8, 8))}],
)
def test_rows_of_images_that_do_not_match_are_refused(tmp_path, rows) -> None:
    with pytest.raises(ArgumentError, match="rows of images have shapes"):
        plot_images(rows, tmp_path / "images.png")


def test_globals_are_drawn_from_top_to_bottom_and_cut(tmp_path) -> None:
    moments = {
        "theta": (np.array(0.0), np.array(1.0)),
        "W": (np.zeros((10, 10)), np.ones((10, 10))),
    }
    plot_globals(moments, tmp_path / "globals.png", title="Globals")
    image = matplotlib.image.imread(tmp_path / "globals.png")
    assert image.shape == (round(150 * (1.1 + 0.22 * 40)), 900, 4)
    inked = np.unique(pixels_near(image, BLUE))
    assert 40 * 4 <= len(inked) <= 40 * 16  # forty bars, each a few pixels high

    plot_globals({"theta": moments["theta"]}, tmp_path / "one.png")
    assert matplotlib.image.imread(tmp_path / "one.png").shape == (198, 900, 4)
    with pytest.raises(ArgumentError, match="no globals"):
        plot_globals({}, tmp_path / "none.png")


def test_plotting_leaves_matplotlib_as_it_was(tmp_path) -> None:
    program = f"""
import matplotlib, numpy as np
before = dict(matplotlib.rcParams)
from amortis.report import plot_globals
plot_globals({{"a": (np.zeros(2), np.ones(2))}}, {str(tmp_path / "a.png")!r})
assert dict(matplotlib.rcParams) == before
import sys
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("False", 0), done.stderr


def test_without_matplotlib_there_is_a_hint(tmp_path, monkeypatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"amortis\[plots\]\""):
        plot_globals({"a": (np.zeros(2), np.ones(2))}, tmp_path / "a.png")
