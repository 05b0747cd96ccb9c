import csv
import json
import math

import pytest

from amortis.experiments.comparison import Setting
from amortis.experiments.results.agreement import Agreement, agreement
from amortis.experiments.results.figures import colors, write_figures
from amortis.experiments.results.files import write_files
from amortis.experiments.results.page import write_page
from amortis.experiments.results.reproduced import Reproduced
from amortis.experiments.results.summary import best_known, summarise
from amortis.experiments.runs import RunStore, run_campaign
from amortis.experiments.settings import Expected, read_settings
from tests.experiments.small_experiment import SETTINGS, SmallTask, campaign


def test_too_few_successes_and_impossible_losses_differ() -> None:
    expected = Expected(best=10.0, succeeded=0.9)
    assert agreement(expected, [10.0, 10.0], succeeded=0.5) is Agreement.DIFFERS
    assert agreement(expected, [10.0, 10.0], succeeded=0.9) is Agreement.AGREES
    assert agreement(Expected(best=10.0), [9.0, 9.0], lowest=10.0) is Agreement.DIFFERS


@pytest.fixture
def run(tmp_path):
    task = SmallTask()
    return task, run_campaign(campaign(), task, RunStore(tmp_path / "runs", print))


@pytest.mark.parametrize(
    ("expected", "losses", "found"),
    [
        (None, [1.0], Agreement.NONE),
        (Expected(best=10.0), [10.005, 10.005], Agreement.AGREES),
        (Expected(best=10.0), [10.1, 10.1], Agreement.DIFFERS),
        (Expected(best=10.0), [10.1, 10.4], Agreement.DIFFERS),  # our own spread is no excuse
        (Expected(best=10.0, median=10.2), [10.1, 10.1], Agreement.AGREES),
        (Expected(best=10.0, median=10.2), [10.0, 10.1, 10.1], Agreement.BETTER),
        (Expected(best=10.0, median=10.0), [10.0, 10.0, 12.0, 12.0], Agreement.DIFFERS),
        (Expected(best=10.0, median=10.05), [9.0, 11.0, 11.0], Agreement.DIFFERS),
        (Expected(best=10.0, worst=12.0), [10.5, 11.5, 11.9], Agreement.AGREES),
        (Expected(best=10.0, worst=12.0), [10.5, 12.5, 12.9], Agreement.DIFFERS),
        (Expected(best=553.05), [553.06] + 9 * [2933.5], Agreement.DIFFERS),
        (Expected(best=10.0), [9.0, 9.0], Agreement.BETTER),
        (Expected(best=10.0, rounding=2.0), [9.0, 9.0], Agreement.AGREES),
        (Expected(best=10.0), [math.nan, math.nan], Agreement.DIFFERS),
        (Expected(best=10.0), [math.nan, math.nan, 10.0], Agreement.DIFFERS),
        (Expected(best=10.0), [math.nan, 10.0, 10.0], Agreement.AGREES),
    ],
)
def test_agreement_is_by_best_and_median_within_the_spread(expected, losses, found) -> None:
    assert agreement(expected, losses) is found


def test_rows_gather_the_seeds(run) -> None:
    task, runs = run
    summary = summarise(campaign(), task, runs)
    rows = {(row.method.name, row.arm.name): row for row in summary.rows}
    assert list(rows) == [
        ("F-VI", "ours"),
        ("F-VI", "Adam 0.01"),
        ("A-VI", "ours"),
        ("A-VI", "Adam 0.01"),
        ("A-VI", "Adam 0.001"),
    ]
    ours = rows["F-VI", "ours"]
    assert ours.losses == tuple(
        result.loss for name, result in runs.items() if name.label.startswith("F-VI, ours")
    )
    assert ours.best == min(ours.losses) and ours.median == sum(ours.losses) / 2
    assert (len(rows["A-VI", "ours"].losses), ours.succeeded, ours.failed) == (4, 2, 0)
    failed = rows["A-VI", "Adam 0.001"]
    assert (failed.failed, failed.succeeded) == (2, 0) and math.isnan(failed.best)
    # Printed values belong to ours and to the printed rate.
    assert ours.expected is not None and ours.expected.best == 7.5
    assert rows["F-VI", "Adam 0.01"].expected is not None
    assert rows["A-VI", "Adam 0.01"].expected is None
    # The target is where F-VI by the paper's optimiser ends, 7.5 nats; all paths get there.
    assert summary.target == {name: pytest.approx(7.5, abs=0.05) for name in ("F-VI", "A-VI")}
    assert ours.iterations[2] < math.inf and ours.iterations[0] <= ours.iterations[2]
    # The closed form, 7, is the best known of the data set, half a nat and thus more than
    # 0.01 nats for each of 20 rows away.
    assert best_known(task, runs) == {"F-VI": 7.0, "A-VI": 7.0}
    assert ours.goal_seconds == math.inf


def test_files_hold_every_run_and_every_point(tmp_path, run) -> None:
    task, runs = run
    assert write_files(tmp_path, summarise(campaign(), task, runs), runs) == [
        "runs.csv",
        "paths.csv",
        "summary.csv",
        "summary.json",
    ]
    with (tmp_path / "runs.csv").open(encoding="utf8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(runs)
    for row, (name, result) in zip(rows, runs.items(), strict=True):
        assert (row["method"], row["arm"], int(row["seed"])) == (
            name.method.name,
            name.arm.name,
            name.seed,
        )
        assert row["loss"] == ("" if math.isnan(result.loss) else repr(result.loss))
        assert float(row["last_mean"]) == result.values["last_mean"]
    with (tmp_path / "paths.csv").open(encoding="utf8", newline="") as stream:
        paths = list(csv.DictReader(stream))
    assert [float(p["loss"]) for p in paths] == [
        loss for result in runs.values() for loss in result.path.losses
    ]
    content = json.loads((tmp_path / "summary.json").read_text())
    first = content["rows"][0]
    assert (first["method"], first["reference_best"], first["reference_its_1"]) == (
        "F-VI",
        7.5,
        "never",
    )
    assert first["reference_its_10"] is None and first["goal_seconds"] == "never"


def test_pictures_and_page_are_made_of_the_outputs(tmp_path, run) -> None:
    task, runs = run
    summary, folder = summarise(campaign(), task, runs), tmp_path / "tiny-code"
    folder.mkdir()
    pictures = write_figures(folder, summary, runs)
    assert pictures == ["paths_iterations.png", "paths_seconds.png", "losses.png", "iterations.png"]
    page = tmp_path / "docs" / "paper.md"
    page.parent.mkdir()
    write_page(page, [Reproduced(summary, folder, tuple(pictures))], "amortis reproduce tiny")
    text = page.read_text(encoding="utf8")
    for name in pictures:
        copied = page.parent / "images" / f"tiny-code-{name}"
        assert f"(images/{copied.name})" in text
        assert copied.read_bytes() == (folder / name).read_bytes()
        assert copied.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "\namortis reproduce tiny\n" in text
    assert "## Tiny (none)" in text and "### As the code ran it" in text
    assert "| F-VI | ours | 7.5000 |" in text and "A remark." in text
    assert "2 draws per step and 40 steps" in text and "What is cut: most of it." in text
    assert str(tmp_path) not in text


def test_amortized_methods_go_from_light_to_dark() -> None:
    shades = colors(read_settings("nonlinear").methods)
    networks = [int(shades[f"A-VI, k = {k}"][1:3], 16) for k in (1, 2, 4, 8, 16, 24, 32)]
    assert networks == sorted(networks, reverse=True) and len(set(networks)) == 7
    assert shades["constant"] != shades["F-VI"]
    assert set(colors(SETTINGS.methods)) == {"F-VI", "A-VI"}


def test_the_settings_are_for_both() -> None:
    assert set(read_settings("linear").plans) == set(Setting)
    assert set(read_settings("hmm").plans) == {Setting.PAPER}
