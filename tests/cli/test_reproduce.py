import json
import math

import jax
import pytest

from amortis import Progress
from amortis.cli import main
from amortis.cli.reproduce import EXPERIMENTS
from amortis.experiments.comparison import Comparison, Reproduction, Setting


@pytest.fixture
def calls(monkeypatch) -> list:
    """An experiment in place of the linear one, that notes how it was called."""
    made = []

    def run(setting, *, key, seeds=1, monitor_for=None):
        made.append((setting, key, seeds))
        assert monitor_for is not None
        monitor_for("F-VI")(Progress(-4.0, None, 8, 12, 1.0), lambda: None)
        lines = (
            Comparison("F-VI", "ELBO, nats", -2.0, -4.0, 1.5, "CONVERGED"),
            Comparison("A-VI", "ELBO, nats", math.nan, -3.0, 2.5),
        )
        return Reproduction("A title", lines, "A remark.")

    monkeypatch.setitem(EXPERIMENTS, "linear", run)
    return made


def test_reference_result_and_ratio_stand_side_by_side(capsys, calls) -> None:
    assert main(["reproduce", "linear", "--as", "code", "--seeds", "3", "--seed", "5"]) == 0
    ((setting, key, seeds),) = calls
    assert (setting, seeds) == (Setting.CODE, 3)
    assert jax.random.key_data(key).tolist() == jax.random.key_data(jax.random.key(5)).tolist()
    out, err = capsys.readouterr()
    lines = out.split("\n")
    assert lines[0] == "A title" and lines[-2] == "A remark."
    head = ["what", "quantity", "reference", "result", "ratio", "difference"]
    assert lines[2].split()[:6] == head
    cells = [line.split("  ") for line in lines[4:6]]
    assert [[cell.strip() for cell in line if cell] for line in cells] == [
        ["F-VI", "ELBO, nats", "-2", "-4", "2.00000", "-2", "1.5", "CONVERGED"],
        ["A-VI", "ELBO, nats", "–", "-3", "–", "–", "2.5"],
    ]
    assert err.startswith("F-VI: ELBO -4.00 nats, 8 draws, 12 iterations")


def test_the_table_is_written_as_numbers_and_as_markdown(tmp_path, capsys, calls) -> None:
    assert main(["reproduce", "LINEAR", "--out", str(tmp_path)]) == 0
    assert "linear-paper.json, linear-paper.md" in capsys.readouterr().out
    found = json.loads((tmp_path / "linear-paper.json").read_text())
    assert found["lines"][0]["ratio"] == 2.0
    assert found["lines"][1]["reference"] is None and found["lines"][1]["result"] == -3.0
    table = (tmp_path / "linear-paper.md").read_text(encoding="utf8").split("\n")
    assert table[1] == "|---|---|---:|---:|---:|---:|---:|---|"
    assert calls[0][0] is Setting.PAPER
