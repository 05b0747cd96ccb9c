"""The race's rules: when a goal counts as reached, whose rate counts, what the bars say."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from racing import clock as clocks
from racing.field import CONTESTANTS
from racing.summary import best_peer, seconds_to_stay, summarize, with_other_tasks
from racing.table import table
from racing.tasks import TASKS
from racing.user_code import lines_of_user_code


def test_who_leaves_again_has_not_stayed() -> None:
    seconds = [1.0, 2.0, 3.0, 4.0]
    assert seconds_to_stay(seconds, [False, True, True, True]) == 2.0
    assert seconds_to_stay(seconds, [True, False, True, True]) == 3.0
    assert seconds_to_stay(seconds, [False, False, True, False]) == math.inf
    # Twice the seconds are enough, whatever the number of snapshots in them.
    assert seconds_to_stay(seconds, [True, True, True, False]) == 1.0
    assert seconds_to_stay([], []) == math.inf


def _run(who: str, rate: float | None, elbo: list[float], **more: Any) -> dict[str, Any]:
    seconds = [0.1 * 2**i for i in range(len(elbo))]
    phase = {"seconds": seconds, "elbo": elbo, "off": [0.0] * len(elbo)}
    options = {"rate": rate, "seed": 0}
    run = {"task": "saw", "who": who, "options": options, "lead": 3.0, "phases": {"warm": phase}}
    return run | {"peak_mb": 100.0, "lines": 9} | more


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return summarize(runs, {"saw": {"elbo": -100.0, "how": "closed form", "off": 0.0}}, 20.0)


def test_a_contestant_counts_at_its_best_rate_and_losers_stay_in() -> None:
    ours = _run("amortis A-VI", None, [-105.0, -100.0])
    runs = [
        ours,
        _run("PyMC ADVI", 1e-2, [-200.0, -150.0, -105.0]),  # 0.01 nats of 1000 steps are 10
        _run("PyMC ADVI", 1e-1, [-200.0, -150.0, -150.0]),
        {**_run("NumPyro NUTS", None, []), "phases": {}, "error": "no q within the time"},
    ]
    summary = _summary(runs)
    rows = {row["who"]: row for row in summary["rows"]}
    assert rows["PyMC ADVI"]["rate"] == 1e-2
    assert rows["PyMC ADVI"]["warm"] == pytest.approx(0.4)
    assert rows["PyMC ADVI"]["cold"] == pytest.approx(3.4)
    assert rows["NumPyro NUTS"]["warm"] is None
    (warm,) = (b for b in summary["bars"] if (b["who"], b["kind"]) == ("amortis A-VI", "warm"))
    assert warm["ratios"]["saw"] == pytest.approx(4.0)
    assert warm["at_least"] == []
    json.dumps(summary, allow_nan=False)
    page = table(summary | {"limit": 20.0})
    assert "no q within the time" in page
    assert "≥ 5x **not met**" in page


def test_where_no_peer_arrives_the_ratio_is_a_bound() -> None:
    runs = [_run("amortis A-VI", None, [-100.0]), _run("PyMC ADVI", 1e-2, [-500.0])]
    warm = _summary(runs)["bars"][0]
    assert (warm["ratios"]["saw"], warm["at_least"]) == (pytest.approx(200.0), ["saw"])
    assert "≥ 200x" in table(_summary(runs) | {"limit": 20.0})


def _network_runs(task: str, *runs: dict[str, Any]) -> dict[str, Any]:
    """A summary of runs whose means are compared with nothing."""
    runs = tuple(run | {"task": task} for run in runs)
    for run in runs:
        for phase in run["phases"].values():
            phase["off"] = [math.inf] * len(phase["elbo"])
    reference = {"how": None, "mean": [], "sd": [], "elbo": None, "off": None}
    return summarize(list(runs), {task: reference}, 20.0)


def test_the_goal_of_the_neural_network_is_the_best_peers_last_elbo() -> None:
    wrong = _run("BlackJAX mean-field VI", 1e-2, [-1.0], error="another density: 0.2")
    summary = _network_runs(
        "bnn",
        _run("amortis A-VI", None, [-900.0, -500.0, -300.0]),
        _run("PyTorch A-VI", 1e-2, [-900.0, -800.0, -700.0, -510.0]),
        _run("PyTorch A-VI", 1e-1, [-900.0, -math.inf]),
        _run("PyMC ADVI", 1e-2, [-400.0, -600.0]),  # the best on its way, not at its end
        wrong,
    )
    reference = summary["references"]["bnn"]
    assert (reference["goal"], reference["best_peer"]) == (-510.0, "PyTorch A-VI")
    assert reference["best_known"] == -1.0
    rows = {row["who"]: row for row in summary["rows"]}
    assert rows["amortis A-VI"]["warm"] == pytest.approx(0.2)
    assert rows["PyTorch A-VI"]["warm"] == pytest.approx(0.8)
    assert rows["PyMC ADVI"]["warm"] is None
    assert rows[wrong["who"]]["warm"] is None
    (warm,) = (b for b in summary["bars"] if (b["who"], b["kind"]) == ("amortis A-VI", "warm"))
    assert warm["ratios"]["bnn"] == pytest.approx(4.0)
    json.dumps(summary, allow_nan=False)
    page = table(summary | {"limit": 20.0})
    assert "(PyTorch A-VI: -510 nats)" in page
    assert "| amortis A-VI |  | 0.2 | 3.2 |  |  |" in page  # no second goal


def test_of_a_peers_seeds_the_lower_median_is_the_goal_and_without_peers_nobody_arrives() -> None:
    ends = (-500.0, -520.0, -540.0, -560.0)
    runs = [_run("PyTorch A-VI", 1e-2, [-900.0, end]) for end in ends]
    assert best_peer(runs, 20.0) == (-540.0, "PyTorch A-VI")
    assert best_peer(runs, 0.15) == (-900.0, "PyTorch A-VI")  # the last blocks end at 0.2 s
    assert best_peer(runs, 0.05)[1] is None
    diverged = _run("PyTorch A-VI", 1e-1, [-900.0, -math.inf])
    summary = _network_runs("bnn", _run("amortis A-VI", None, [-900.0, -300.0]), diverged)
    assert summary["references"]["bnn"]["goal"] is None
    assert [row["warm"] for row in summary["rows"]] == [None, None]
    json.dumps(summary, allow_nan=False)
    assert "none has any" in table(summary | {"limit": 20.0})


def test_without_any_q_the_page_says_so() -> None:
    failed = {**_run("PyTorch A-VI", 1e-2, []), "phases": {}, "error": "no q within the time"}
    summary = _network_runs("bnn", failed)
    json.dumps(summary, allow_nan=False)
    assert "No run left a q." in table(summary | {"limit": 20.0})


def test_tasks_that_were_not_run_again_stay() -> None:
    settings = {
        "limit": 20.0,
        "clock": "wall time",
        "seeds": 1,
        "machine": "two cores",
        "versions": {"jax": "0.10.2"},
    }
    saw = _summary([_run("amortis A-VI", None, [-100.0])]) | settings
    run = _run("amortis A-VI", None, [-90.0]) | {"task": "irt"}
    irt = summarize([run], {"irt": {"elbo": -90.0, "how": "NUTS", "off": 0.2}}, 20.0) | settings
    both = with_other_tasks(irt, saw)
    assert [row["task"] for row in both["rows"]] == ["saw", "irt"]
    for other in ({"limit": 5.0}, {"machine": "one core"}, {"versions": {"jax": "0.10.1"}}):
        assert with_other_tasks(irt, saw | other)["rows"] == irt["rows"]


def test_another_density_never_arrives() -> None:
    wrong = _run("PyMC ADVI", 1e-2, [-100.0], error="another density: relative error 0.2")
    (row,) = (r for r in _summary([_run("amortis A-VI", None, [-100.0]), wrong])["rows"][1:])
    assert row["warm"] is None


def test_snapshots_are_off_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(clocks.time, "time", lambda: now[0])  # read when a clock is made
    clock = clocks.Clock(tmp_path, launched=90.0, limit=5.0)
    clock.start()
    now[0] += 1.0

    def slow() -> dict[str, Any]:
        now[0] += 50.0
        return {"mean": np.zeros(2), "sd": np.ones(2)}

    clock.snapshot(slow)
    now[0] += 2.0
    assert clock.seconds() == pytest.approx(3.0)
    assert not clock.over()
    clock.snapshot(slow)
    clock.finish()
    notes = json.loads((tmp_path / "notes.json").read_text())
    assert notes["lead"] == pytest.approx(10.0)
    assert notes["phases"]["warm"] == pytest.approx([1.0, 3.0])
    assert notes["peak_mb"] > 0.0


def test_training_ends_with_the_step_that_reaches_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(clocks.time, "time", lambda: now[0])
    clock = clocks.Clock(tmp_path, launched=0.0, limit=10.0, coarse=True)
    clock.start()

    def advance(steps: int) -> None:
        now[0] += 0.03 * steps

    clocks.train(clock, advance, lambda: {"mean": np.zeros(1), "sd": np.ones(1)})
    clock.finish()
    seconds = json.loads((tmp_path / "notes.json").read_text())["phases"]["warm"]
    assert 10.0 <= seconds[-1] <= 10.04
    apart = np.diff(np.log(seconds[1:-1]))
    assert apart[5:].min() > np.log(clocks.RATIO)
    assert len(seconds) < 20


@pytest.mark.parametrize("who", CONTESTANTS, ids=lambda who: who.name)
def test_every_contestant_has_user_code_and_a_model_of_every_task(who: Any) -> None:
    lines = {name: lines_of_user_code(who.module_for(name), name) for name in TASKS}
    assert all(count > 5 for count in lines.values())
    assert lines["irt"] > lines["linear"]
