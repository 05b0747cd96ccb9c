"""What pictures show: closed forms of the linear model, and naive oracles."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

from amortis import ArgumentError, Constant, CutSlopes, Estimate, StepGaps, fit, from_numpyro
from amortis.report import plot_calibration, plot_function, plot_gap, plot_k_hat, plot_steps, report
from amortis.report.calibration_series import calibration_panel
from amortis.report.diagnosis_series import diagnosis_sample, gap_panels, k_hat_panel
from amortis.report.elbo_series import elbo_panel
from amortis.report.function_series import function_panels, function_values
from amortis.report.panel import Axis, Hue, Panel, Points, axis
from amortis.report.panel_svg import panel_svg
from amortis.report.row_sample import sample_rows
from amortis.report.step_series import steps_panel
from amortis.report.ticks import linear_ticks, log_ticks, number, with_error
from tests.exact_models import linear
from tests.report.page_fit import calibration, made_up_diagnosis, page_diagnosis, page_fit


def test_own_optima_are_those_of_the_closed_form() -> None:
    """With q(theta) held, row n's optimum is its posterior given the mean of theta."""
    exact = linear.example(80)
    bound = from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)
    fitted = fit(bound, key=jax.random.key(3), inference=Constant())
    values = function_values(fitted, sample_rows(80))
    assert values is not None and values.settled.all()
    theta = float(fitted.moments()["theta"][0])
    v = exact.tau**2 + exact.sigma**2
    np.testing.assert_allclose(values.best_mean[:, 0], exact.tau * (exact.x - theta) / v, atol=2e-3)
    np.testing.assert_allclose(values.best_log_sd, 0.5 * math.log(exact.sigma**2 / v), atol=2e-3)
    np.testing.assert_allclose(values.mean[:, 0], values.mean[0, 0])  # one factor for all
    panels = function_panels(values)
    assert [panel.x.label for panel in panels] == [
        "x",
        "x",
        "own optimum: mean of z",
        "own optimum: log sd of z",
    ]
    np.testing.assert_array_equal(panels[2].points[0].x, values.best_mean[:, 0])


def test_gaps_are_drawn_where_they_are() -> None:
    """Places in the drawing are an affine map of the data, and marks know their rows."""
    found = page_diagnosis()
    (panel,) = gap_panels(page_fit().model, found, diagnosis_sample(found))
    svg = panel_svg(panel, "gap").text
    marks = re.findall(r'<circle cx="([\d.-]+)" cy="([\d.-]+)" r="4.0" data-i="(\d+)"/>', svg)
    across, down, rows = (np.array(column, float) for column in zip(*marks, strict=True))
    assert rows.tolist() == list(range(60))
    x = np.asarray(page_fit().model.inputs)[:, 0]
    for places, values, sign in ((across, x, 1.0), (down, found.row_gaps, -1.0)):
        slope, start = np.polyfit(values, places, 1)
        np.testing.assert_allclose(places, start + slope * values, atol=0.06)  # a tenth, rounded
        assert np.sign(slope) == sign


def test_mean_gaps_are_those_of_all_rows() -> None:
    size = 4000
    found = made_up_diagnosis(size)
    model = dataclasses.replace(
        page_fit().model, inputs=jnp.arange(size, dtype=float)[:, None], size=size
    )
    (panel,) = gap_panels(model, found, diagnosis_sample(found))
    (line,) = panel.lines
    means = found.row_gaps.reshape(40, 100).mean(axis=1)
    np.testing.assert_allclose(line.y, means)
    np.testing.assert_allclose(line.x, np.arange(40) * 100 + 49.5)
    assert panel.y.log  # the worst is thousands of times the median
    assert "1,200 of 4,000 rows" in panel.note or "of 4,000 rows are shown" in panel.note


def test_gaps_of_rounding_size_do_not_fill_a_picture() -> None:
    found = dataclasses.replace(page_diagnosis(), row_gaps=np.linspace(-1e-9, 1e-7, 60))
    (panel,) = gap_panels(page_fit().model, found, diagnosis_sample(found))
    assert not panel.y.log and panel.y.high >= found.tolerance


def test_of_many_columns_those_that_order_the_gaps_are_drawn() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(60, 9))
    gaps = (inputs[:, 7] ** 2 + 0.3 * inputs[:, 2]) ** 2
    model = dataclasses.replace(
        page_fit().model, inputs=jnp.asarray(inputs), input_names=tuple(f"v{i}" for i in range(9))
    )
    found = dataclasses.replace(page_diagnosis(), row_gaps=gaps)
    panels = gap_panels(model, found, diagnosis_sample(found))
    assert len(panels) == 4
    assert "Gap against v7" in [panel.title for panel in panels]


def test_k_hats_are_parted_at_the_limits_and_exact_rows_stay_in_sight() -> None:
    k = np.concatenate([np.linspace(0.1, 0.7, 50), [0.71, 0.99, 1.2], np.full(7, -np.inf)])
    found = dataclasses.replace(page_diagnosis(), row_k=k)
    panel = k_hat_panel(found, diagnosis_sample(found))
    assert panel is not None
    assert {p.hue: len(p.x) for p in panel.points} == {
        Hue.FIRST: 57,
        Hue.WARNING: 2,
        Hue.BAD: 1,
    }
    assert [level.y for level in panel.levels] == [0.5, 0.7, 1.0]
    assert "7 rows whose factor is exact" in panel.note
    assert all((panel.y.low <= p.y).all() for p in panel.points)


def test_the_elbo_of_a_reference_is_a_level() -> None:
    panel = elbo_panel(page_fit(), page_fit())
    assert panel is not None
    assert panel.levels[0].y == page_fit().history.objective[-1]
    assert panel.lines[0].label != panel.lines[1].label
    assert panel.y.low < panel.levels[0].y < panel.y.high
    np.testing.assert_array_equal(panel.lines[0].x, page_fit().history.seconds)


def test_calibration_says_whether_it_is_inside() -> None:
    inside, outside = (calibration_panel(n, s) for n, s in calibration().sites.items())
    assert inside.title.endswith("inside") and outside.title == "mu: outside"
    assert outside.lines[0].hue is Hue.BAD


def test_samples_keep_the_worst_and_spread_over_all() -> None:
    bad = np.zeros(10_000)
    bad[[17, 4321]] = 1.0
    sample = sample_rows(10_000, (bad, np.full(10_000, np.nan)))
    assert {17, 4321} <= set(sample.rows.tolist()) and len(sample.rows) <= 1200
    assert np.diff(sample.rows).max() < 30 and (np.diff(sample.rows) > 0).all()
    assert sample_rows(50).note == "" and len(sample_rows(50).rows) == 50


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 1.0), (-23891.7, -23710.2), (1e-7, 3e-7), (0.0, 1e9), (5.0, 5.001)]
)
def test_ticks_are_round_inside_and_told_apart(low, high) -> None:
    ticks = linear_ticks(low, high)
    values, labels = zip(*ticks, strict=True)
    assert 2 <= len(ticks) <= 7 and len(set(labels)) == len(labels)
    assert low - 1e-9 * (high - low) <= min(values) and max(values) <= high + 1e-9 * (high - low)
    step = values[1] - values[0]
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - m) for m in (1.0, 2.0, 5.0, 10.0)) < 1e-4
    log_labels = [label for _, label in log_ticks(max(low, 1e-7), max(high, 1e-7) * 10)]
    assert len(set(log_labels)) == len(log_labels) >= 1


def test_numbers_read_well() -> None:
    shown = [number(v) for v in (-23891.65, 0.0215, 3.2e-6, 1e-9, 0.0, -0.0, 1e12, math.nan)]
    assert shown == ["−23,892", "0.0215", "3.2·10⁻⁶", "10⁻⁹", "0", "0", "10¹²", "not measured"]
    assert number(math.inf) == "∞" and number(-math.inf) == "−∞" and number(0.99999) == "1"
    assert with_error(-23891.6543, 8.38) == ("−23,891.7", "8.4")
    assert with_error(0.0186, math.nan) == ("0.0186", "not measured")


def test_what_has_no_place_is_not_drawn() -> None:
    panel = Panel(
        "t",
        axis("x", np.array([1.0, 2.0])),
        Axis("y", 1e-3, 1.0, log=True),
        points=(Points(np.array([1.5]), np.array([0.0316227766])),),
    )
    svg = panel_svg(panel, "a").text
    (mark,) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4.0"/>', svg)
    assert float(mark[1]) == pytest.approx((34 + (330 - 56)) / 2, abs=0.1)  # half of the decades


def blue(path) -> int:
    image = matplotlib.image.imread(path)
    return int((image[..., 2] > image[..., 0] + 0.2).sum())


def test_pictures_are_files_as_well(tmp_path) -> None:
    found = page_diagnosis()
    plot_gap(page_fit(), found, tmp_path / "gap.png")
    plot_k_hat(found, tmp_path / "k.png")
    plot_function(page_fit(), tmp_path / "f.png", found)
    plot_calibration(calibration(), tmp_path / "c.png")
    assert {p.name for p in tmp_path.iterdir()} == {"gap.png", "k.png", "f.png", "c.png"}
    assert matplotlib.image.imread(tmp_path / "gap.png").shape == (585, 780, 4)
    assert matplotlib.image.imread(tmp_path / "f.png").shape == (1170, 1560, 4)
    assert all(blue(path) > 300 for path in tmp_path.iterdir())


def test_pictures_of_nothing_are_refused(tmp_path) -> None:
    nothing = np.full(60, np.nan)
    found = dataclasses.replace(page_diagnosis(), row_gaps=nothing, row_k=nothing)
    for draw in (
        lambda path: plot_gap(page_fit(), found, path),
        lambda path: plot_k_hat(found, path),
        lambda path: plot_calibration(dataclasses.replace(calibration(), sites={}), path),
    ):
        with pytest.raises(ArgumentError, match="to plot; expected at least one") as caught:
            draw(tmp_path / "a.png")
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def with_steps_taken(gaps):
    """A diagnosis of a function that takes two steps, with these gaps after 1, 2 and 4."""
    each = tuple(Estimate(mean, se, "nats per datum") for mean, se in gaps)
    cut = CutSlopes(np.array([3, 0]), 3, 60)
    return dataclasses.replace(page_diagnosis(), steps=StepGaps((1, 2, 4), each, 2, cut))


def test_gaps_are_drawn_against_steps(tmp_path) -> None:
    found = with_steps_taken([(0.4, 0.01), (0.03, 0.001), (-2e-5, 1e-5)])
    panel = steps_panel(found)
    assert panel is not None and panel.x.log and panel.y.log
    own, line = panel.lines
    assert own.x.tolist() == [2.0, 2.0]
    assert line.x.tolist() == [1.0, 2.0, 4.0]
    np.testing.assert_allclose(line.y, [0.4, 0.03, 0.015])  # the last has no logarithm
    assert line.words[0] == "1 steps: 0.4 ± 0.01 nats per row"
    assert "1 gaps below 0.015 nats are at the lower edge." in panel.note
    assert "Slopes of 3 of 60 rows exploded and were cut, in step 1 of 2" in panel.note
    band = panel.bands[0]
    np.testing.assert_allclose(band.high[:2], [0.42, 0.032])
    plot_steps(found, tmp_path / "steps.png")
    assert matplotlib.image.imread(tmp_path / "steps.png").std() > 0.01
    page = report(page_fit(), found, path=tmp_path / "page.html").read_text()
    assert 'id="steps"' in page and "Gap against number of steps" in page
    assert (
        'id="steps"'
        not in report(page_fit(), page_diagnosis(), path=tmp_path / "page.html").read_text()
    )


def test_gaps_of_functions_without_steps_are_not_drawn(tmp_path) -> None:
    assert steps_panel(page_diagnosis()) is None
    assert steps_panel(with_steps_taken([(math.nan, math.nan)] * 3)) is None
    with pytest.raises(ArgumentError, match="there are no gaps against steps to plot; expected"):
        plot_steps(page_diagnosis(), tmp_path / "steps.png")
