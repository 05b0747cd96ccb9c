import csv
import dataclasses
import json
import re
import struct

import numpy as np
import pytest

from amortis.cli import main, reproduce, reproduce_bnn
from amortis.experiments import reproduction
from amortis.experiments.bnn import fits
from amortis.experiments.bnn.settings import read_bnn_settings
from amortis.experiments.settings import read_settings
from amortis.experiments.tasks import TASKS
from tests.experiments.small_experiment import SETTINGS, SmallTask

LINES = ["F-VI", "F-VI", "A-VI", "A-VI", "A-VI"]


@pytest.fixture
def task(monkeypatch) -> SmallTask:
    """A small experiment in place of saw, and all others out of the way."""
    made = SmallTask()

    def small(name):
        return SETTINGS if name == "saw" else read_settings(name)

    for module in (reproduce, reproduction):
        monkeypatch.setattr(module, "read_settings", small)
    monkeypatch.setitem(TASKS, "saw", lambda settings, setting: made)
    return made


def test_reference_result_and_ratio_stand_side_by_side(tmp_path, capsys, task) -> None:
    out = tmp_path / "out"
    assert main(["reproduce", "SAW", "--as", "code", "--out", str(out)]) == 0
    printed, progress = capsys.readouterr()
    lines = printed.split("\n")
    assert lines[1].startswith("Tiny, as the code has it")
    head = "method optimiser reference best best ratio reference median median"
    assert lines[3].split()[:9] == head.split()
    assert [line.split()[0] for line in lines[5:10]] == LINES
    assert lines[5].split()[1:3] == ["ours", "7.5000"]
    assert "tiny-code, run 1 of 12: F-VI, ours, seed 0: ELBO -8.00 nats" in progress
    assert "tiny-code, run 12 of 12: A-VI, ours, seed 3" in progress
    assert {path.name for path in (out / "tiny-code").iterdir()} == {
        "runs.csv",
        "paths.csv",
        "summary.csv",
        "summary.json",
        "paths_iterations.png",
        "paths_seconds.png",
        "losses.png",
        "iterations.png",
    }


def test_an_interrupted_run_says_so_and_goes_on(tmp_path, capsys, task) -> None:
    arguments = ["reproduce", "saw", "--as", "code", "--out", str(tmp_path)]
    task.interrupt_at = 5
    assert main(arguments) == 130
    error = capsys.readouterr().err
    assert "interrupted at saw as the code has it" in error and "goes on from there" in error
    task.interrupt_at = None
    assert main(arguments) == 0
    assert "5 of 12 runs are there already" in capsys.readouterr().err
    assert len(task.ran) == 12
    with (tmp_path / "tiny-code" / "runs.csv").open(encoding="utf8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 12


def test_all_experiments_run_as_they_can_and_make_a_page(tmp_path, capsys, task) -> None:
    page = tmp_path / "paper.md"
    arguments = ["reproduce", "paper", "--only", "saw", "--seeds", "1", "--seed", "7"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--page", str(page)]) == 0
    assert len(task.ran) == 5
    assert page.read_text(encoding="utf8").startswith("# The paper, reproduced")
    assert (
        "amortis reproduce paper --seeds 1 --seed 7 --only saw --page paper.md"
        in page.read_text("utf8")
    )
    found = json.loads((tmp_path / "out" / "tiny-code" / "summary.json").read_text())
    assert [row["seeds"] for row in found["rows"]] == [1] * 5
    assert "written: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lineer"], "there is no experiment 'lineer'; expected linear, nonlinear, saw, hmm"),
        (["nonlinea"], "did you mean 'nonlinear'?"),
        (["saw", "--as", "codex"], "--as is 'codex'; expected paper, code: did you mean 'code'?"),
        (["saw", "--schedule", "long"], "--schedule is 'long'; expected published, short"),
        (["saw", "--seeds", "0"], "--seeds is 0; expected at least 1"),
        (["saw", "--seed", "-1"], "--seed is -1; expected at least 0"),
        (["saw", "--only", "linear"], "--only is 'linear' beside the experiment 'saw'"),
        (["paper", "--only", "swa"], "there is no experiment 'swa'; expected"),
        (["hmm", "--as", "code"], "'hmm' has no such setting: the authors published no code"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(tmp_path, capsys, arguments, message) -> None:
    assert main(["reproduce", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_refused_before_a_run(tmp_path, capsys, task) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["reproduce", "saw", "--as", "code", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "cannot be made" in capsys.readouterr().err
    assert task.ran == []


def test_without_matplotlib_nothing_is_run(tmp_path, capsys, task, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main(["reproduce", "saw", "--as", "code", "--out", str(tmp_path)]) == 2
    assert 'pip install "amortis[plots]"' in capsys.readouterr().err
    assert task.ran == []


def test_the_bayesian_neural_network_has_schedules_of_its_own(tmp_path, capsys, monkeypatch):
    out = str(tmp_path / "out")
    assert main(["reproduce", "bnn", "--schedule", "shrot", "--out", out]) == 2
    assert "did you mean 'short'?" in capsys.readouterr().err
    monkeypatch.setenv("AMORTIS_DATA", str(tmp_path / "gone"))
    assert main(["reproduce", "BNN", "--out", out]) == 2
    assert "AMORTIS_DATA names" in capsys.readouterr().err


@pytest.fixture
def tiny_network(tmp_path, monkeypatch):
    """Two schedules of a network of a few weights, and a folder with its images in IDX form."""
    made = read_bnn_settings()
    small = {"training": 24, "batch": 12, "epochs": 40, "evaluate": 20, "held_out": 0}
    schedules = {
        name: dataclasses.replace(
            made.schedules[name], **small, methods=("constant", "A-VI, k = 1"), part="train"
        )
        for name in ("short", "mnist")
    }
    settings = dataclasses.replace(made, latents=2, hidden=(3, 3), schedules=schedules)
    for module in (fits, reproduce_bnn):
        monkeypatch.setattr(module, "read_bnn_settings", lambda: settings)
    generator = np.random.default_rng(3)
    for name in ("fashion_mnist", "mnist"):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for file, array in (
            ("train-images-idx3-ubyte", generator.integers(0, 256, (24, 4, 4))),
            ("train-labels-idx1-ubyte", generator.integers(0, 10, 24)),
        ):
            head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(
                f">{array.ndim}I", *array.shape
            )
            (folder / file).write_bytes(head + array.astype(np.uint8).tobytes())
    return str(tmp_path / "images")


def columns_but_seconds(path):
    with path.open(encoding="utf8", newline="") as stream:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_the_network_goes_on_where_it_was_interrupted_and_has_its_part_of_the_page(
    tmp_path, capsys, monkeypatch, tiny_network
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    page = tmp_path / "page" / "paper.md"
    asked = ["reproduce", "bnn", "--as", "code", "--data", tiny_network]
    assert main([*asked, "--out", str(whole), "--page", str(page)]) == 0
    text = page.read_text("utf8")
    assert "## Bayesian neural network (Figures 5 and 9)" in text
    assert "A-VI, k = 1" in text
    for picture in re.findall(r"\]\((images/[^)]+)\)", text):
        assert (page.parent / picture).read_bytes().startswith(b"\x89PNG")
    assert text.count("](images/") == 2

    one_fit, calls = fits.fit_recorded, []

    def interrupted(*arguments, **named):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return one_fit(*arguments, **named)

    monkeypatch.setattr(fits, "fit_recorded", interrupted)
    assert main([*asked, "--out", str(parts)]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert main([*asked, "--out", str(parts)]) == 0
    assert len(calls) == 3  # the first is not made again
    (name,) = (path.name for path in (whole / "bnn").glob("*.csv"))
    assert columns_but_seconds(parts / "bnn" / name) == columns_but_seconds(whole / "bnn" / name)


def test_images_that_are_not_there_are_missed_before_anything_is_run(
    tmp_path, capsys, task, monkeypatch
) -> None:
    gone = str(tmp_path / "gone")
    arguments = ["reproduce", "paper", "--only", "saw", "--only", "bnn", "--data", gone]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "folder is" in capsys.readouterr().err
    assert task.ran == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["bnn", "--as", "paper"], "--as is 'paper' beside the experiment 'bnn'"),
        (["bnn", "--only", "saw"], "--only is 'saw' beside the experiment 'bnn'"),
        (["saw", "--seeds", "99999999999"], "--seeds is 99999999999; expected at most 10000"),
        (["saw", "--page", "file/page.md"], "the folder of --page is 'file', which cannot be made"),
    ],
)
def test_options_that_mean_nothing_are_refused_before_a_run(
    arguments, line, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert main(["reproduce", *arguments]) == 2
    assert line in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
