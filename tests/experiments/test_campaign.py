import dataclasses
import json
import math

import pytest

import amortis
from amortis import ArgumentError
from amortis.experiments import linear
from amortis.experiments.comparison import Setting
from amortis.experiments.runs import RunPath, RunResult, RunStore, run_campaign
from amortis.experiments.settings import ScheduleName
from amortis.experiments.tasks.linear_task import LinearTask
from tests.experiments.small_experiment import SmallTask, campaign

# F-VI: two seeds of ours and of one rate; A-VI: four of ours, two of each of two rates.
RUNS = 2 * 2 + 4 + 2 * 2


def store(folder, lines=None) -> RunStore:
    return RunStore(folder, (lambda line: None) if lines is None else lines.append)


def without_times(result: RunResult) -> RunResult:
    path = dataclasses.replace(result.path, seconds=())
    return dataclasses.replace(result, seconds=0.0, path=path)


def test_every_method_is_run_by_every_arm_and_a_seed_of_all_comes_first() -> None:
    runs = list(campaign().runs())
    assert len(runs) == RUNS
    assert [run.label for run in runs[:3]] == [
        "F-VI, ours, seed 0",
        "F-VI, Adam 0.01, seed 0",
        "A-VI, ours, seed 0",
    ]
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    assert {run.seed for run in runs[-2:]} == {2, 3}
    assert len(list(campaign(seeds=1, first_seed=5).runs())) == 5
    assert {run.seed for run in campaign(seeds=1, first_seed=5).runs()} == {5}


@pytest.mark.parametrize("stopped", [0, 1, 7])
def test_what_was_interrupted_goes_on_with_equal_results(tmp_path, stopped) -> None:
    whole = run_campaign(campaign(), SmallTask(), store(tmp_path / "whole"))
    task = SmallTask(interrupt_at=stopped)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(campaign(), task, store(tmp_path / "parts"))
    assert len(task.ran) == stopped
    rest, lines = SmallTask(), []
    parts = run_campaign(campaign(), rest, store(tmp_path / "parts"), tell=lines.append)
    assert len(rest.ran) == RUNS - stopped
    assert lines == ([f"tiny-code: {stopped} of {RUNS} runs are there already"] if stopped else [])
    assert list(parts) == list(whole)
    for name, result in whole.items():
        # NaN is no equal of itself; its text is.
        assert repr(without_times(parts[name])) == repr(without_times(result)), name.label


def test_progress_is_by_run(tmp_path) -> None:
    labels = []
    run_campaign(campaign(), SmallTask(), store(tmp_path), monitor_for=labels.append)
    assert labels[0] == f"tiny-code, run 1 of {RUNS}: F-VI, ours, seed 0"
    assert labels[-1] == f"tiny-code, run {RUNS} of {RUNS}: A-VI, ours, seed 3"


def test_damaged_results_are_named_and_fitted_again(tmp_path) -> None:
    first = run_campaign(campaign(), SmallTask(), store(tmp_path))
    files = sorted((tmp_path / "tiny-code" / "F-VI").iterdir())[:3]
    files[0].write_bytes(files[0].read_bytes()[:-40])  # as a full disk leaves it
    content = json.loads(files[1].read_text())
    content["run"]["loss"] = 1.0
    files[1].write_text(json.dumps(content))
    files[2].write_text("[]")
    task, lines = SmallTask(), []
    again = run_campaign(campaign(), task, store(tmp_path, lines))
    assert len(task.ran) == 3
    for path, line in zip(files, sorted(lines), strict=True):
        assert f"'{path}' is damaged" in line
    assert all("\n" not in line and "fitted again" in line for line in lines)
    assert repr({n: without_times(r) for n, r in again.items()}) == repr(
        {n: without_times(r) for n, r in first.items()}
    )


def test_other_settings_or_data_are_other_results(tmp_path) -> None:
    run_campaign(campaign(), SmallTask(), store(tmp_path))
    other_data = SmallTask(digest="other data")
    run_campaign(campaign(), other_data, store(tmp_path))
    assert len(other_data.ran) == RUNS
    longer, task = campaign(schedule=ScheduleName.PUBLISHED), SmallTask(digest="other data")
    run_campaign(longer, task, store(tmp_path))
    # What does not hang on the schedule stays.
    assert task.ran and all(arm != "ours" for _, arm in task.ran)
    assert len(task.ran) == RUNS - 6
    more = SmallTask(digest="other data")
    run_campaign(campaign(schedule=ScheduleName.PUBLISHED, seeds=3), more, store(tmp_path))
    assert len(more.ran) == 4  # a third seed of four arms; of A-VI by ours there were four


def test_results_come_back_to_the_bit(tmp_path) -> None:
    path = RunPath((10, 20), (0.1, 1.0 / 3.0), (math.inf, 1e-300))
    result = RunResult("DIVERGED", math.nan, 2.0 / 3.0, path, {"mse": 0.1 + 0.2, "none": math.nan})
    here = store(tmp_path)
    here.save("a/b", {"seed": 1}, result)
    assert repr(here.load("a/b", {"seed": 1})) == repr(result)
    assert here.load("a/b", {"seed": 2}) is None
    assert here.load("a/c", {"seed": 1}) is None


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArgumentError, match=r"cannot be (read|made)") as caught:
        run_campaign(campaign(), SmallTask(), store(tmp_path / "file"))
    assert "\n" not in str(caught.value)


def test_real_fits_that_are_interrupted_on_the_way_end_bit_for_bit_the_same(tmp_path) -> None:
    x = linear.simulate(40, seed=0)
    task = LinearTask(x, Setting.PAPER, amortis.from_numpyro(linear.model, x))
    whole = run_campaign(campaign(seeds=1), task, store(tmp_path / "whole"))

    def monitor_for(label):
        def monitor(progress, current):
            if "run 4 of" in label:  # Adam's: it has begun, and is not over
                raise KeyboardInterrupt

        return monitor

    with pytest.raises(KeyboardInterrupt):
        run_campaign(campaign(seeds=1), task, store(tmp_path / "parts"), monitor_for=monitor_for)
    lines = []
    parts = run_campaign(campaign(seeds=1), task, store(tmp_path / "parts"), tell=lines.append)
    assert lines == [f"tiny-code: 3 of {len(whole)} runs are there already"]
    for name, result in whole.items():
        assert repr(without_times(parts[name])) == repr(without_times(result)), name.label
