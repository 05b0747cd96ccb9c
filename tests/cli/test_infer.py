"""`amortis infer` and `amortis diagnose` from files to files, against the closed form."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from amortis.cli import main
from amortis.cli.inferred_rows import Inferred, describe_inferred, write_inferred
from tests.exact_models import linear

EXAMPLE = f"{Path(__file__).parents[2] / 'examples' / 'linear.py'}:model"
TAU, SIGMA = 1.155, 2.43


@pytest.fixture(scope="module")
def exact():
    return linear.example(200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, exact):
    """Files of old and of new rows."""
    place = tmp_path_factory.mktemp("infer")
    files = {
        "rows": exact.x,
        "new": [1.0, -3.5, 6.0],
        "far": [1.0, 40.0],
        "gaps": [1.0, np.nan, 6.0],
    }
    for name, values in files.items():
        np.savetxt(place / f"{name}.csv", values, header="x", comments="", fmt="%.7g")
    np.savetxt(place / "other.csv", [1.0], header="w", comments="", fmt="%.7g")
    np.savez(place / "wide.npz", x=np.ones((3, 2)))
    return place


@pytest.fixture
def run(folder, capsys):
    """Runs a command; returns its exit code, output and errors."""

    def command(name: str, *more: str, new: str | None = None) -> tuple[int, str, str]:
        files = ["--data", str(folder / "rows.csv")]
        files += [] if new is None else ["--new", str(folder / new)]
        code = main([name, EXAMPLE, *files, *more])
        return (code, *capsys.readouterr())

    return command


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_new_rows_are_inferred_printed_and_written(run, tmp_path, exact) -> None:
    more = ["--inference", "polynomial:1", "--out", str(tmp_path)]
    code, out, _ = run("infer", *more, new="new.csv")
    assert code == 0
    assert "new rows  3, of " in out and "k-hat     0 rows above 0.7; the largest is " in out
    assert out.endswith(f"written to {tmp_path}: inferred.csv, inferred.npz\n")
    rows = read_csv(tmp_path / "inferred.csv")
    assert list(rows[0]) == ["row", "z.mean", "z.sd", "k", "outside", "refined", "missing"]
    means = [float(row["z.mean"]) for row in rows]
    expected = TAU * (np.asarray([1.0, -3.5, 6.0]) - exact.theta[0]) / exact.v
    np.testing.assert_allclose(means, expected, atol=1e-3)
    with np.load(tmp_path / "inferred.npz") as archive:
        np.testing.assert_allclose(archive["z.mean"], means, rtol=1e-6)
        np.testing.assert_allclose(archive["z.sd"], SIGMA / exact.v**0.5, rtol=1e-3)
        assert not archive["outside"].any() and archive["k"].shape == (3,)
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("row "))
    assert lines[head].split() == ["row", "z.mean", "z.sd", "k-hat"]
    assert float(lines[head + 2].split()[1]) == pytest.approx(means[0], rel=1e-3)


def test_rows_out_of_reach_are_flagged_and_refined(run) -> None:
    code, out, _ = run("infer", "--inference", "constant", new="far.csv")
    assert code == 0
    assert "1 row above 0.7" in out and "see --outside refined" in out
    code, out, _ = run("infer", "--inference", "constant", "--outside", "refined", new="far.csv")
    assert code == 0
    assert "0 rows above 0.7 after 1 was refined" in out


def test_rows_with_nan_are_refused_before_the_fit_or_come_out_as_nan(run, tmp_path) -> None:
    code, out, err = run("infer", "--inference", "polynomial:1", new="gaps.csv")
    assert code == 2 and "status" not in out
    assert "--new has NaN or infinity in 'x', first in row 1" in err and "--missing nan" in err
    more = ["--inference", "polynomial:1", "--missing", "nan", "--outside", "unchecked"]
    code, out, _ = run("infer", *more, "--out", str(tmp_path), new="gaps.csv")
    assert code == 0
    assert "missing   1 row with NaN in the data" in out and "k-hat     not measured" in out
    rows = read_csv(tmp_path / "inferred.csv")
    assert [row["missing"] for row in rows] == ["0", "1", "0"] and rows[1]["z.mean"] == "nan"


def test_diagnose_prints_its_answer_and_writes_it(run, tmp_path) -> None:
    code, out, _ = run("diagnose", "--inference", "constant", "--out", str(tmp_path))
    assert code == 0
    assert "FUNCTION_TOO_SMALL: " in out and "  next     amortis.refine(" in out
    assert out.endswith(f"written to {tmp_path}: diagnosis.json, report.html\n")
    plain = json.loads((tmp_path / "diagnosis.json").read_text())
    assert (plain["finding"], plain["size"], plain["seed"]) == ("FUNCTION_TOO_SMALL", 200, 0)
    assert plain["status"] == "CONVERGED" and len(plain["row_gaps"]) == 200


@pytest.mark.parametrize(
    ("command", "new", "more", "words"),
    [
        ("infer", "none.csv", (), "none.csv"),
        ("infer", "other.csv", (), "'x'"),
        ("infer", "wide.npz", (), "'x' has shape (3, 2); expected shape (rows,)"),
        ("infer", "new.csv", ("--outside", "flag"), "did you mean 'flagged'"),
        ("infer", "new.csv", ("--missing", "drop"), "--missing is 'drop'; expected refused, nan"),
        ("infer", "new.csv", ("--seed", "-1"), "--seed is -1"),
        ("infer", None, (), "Missing option '--new'"),
        ("diagnose", None, ("--draws", "4"), "--draws is 4; expected at least 8"),
        ("diagnose", None, ("--tolerance", "0"), "--tolerance is 0.0; expected nats per datum"),
        ("diagnose", None, ("--inference", "tabel"), "did you mean 'table'"),
        ("infer", "new.csv", ("--inference", "table"), "no function for new data"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, command, new, more, words) -> None:
    code, out, err = run(command, *more, new=new)
    assert code == 2 and "status" not in out, out
    last = err.splitlines()[-1]
    assert last.startswith("amortis: ") and words in last


def test_many_numbers_per_row_are_left_to_the_npz(tmp_path) -> None:
    mean = np.arange(3 * 40.0).reshape(3, 40)
    found = Inferred(
        {"z": mean}, {"z": mean + 1.0}, None, None, np.zeros(3, bool), np.zeros(3, bool)
    )
    names, hint = write_inferred(found, tmp_path)
    assert names == ["inferred.npz"] and "3 rows of 82 numbers are too many" in hint
    lines = describe_inferred(found, ["a.csv"], ["w"], 1.0).splitlines()
    assert lines[1:3] == ["new rows  3, of a.csv (unused: w); 1.0 s", "k-hat     not measured"]
    assert lines[4].split()[:3] == ["row", "z[0].mean", "z[0].sd"]
    assert lines[-1] == "36 more latents of each"


def test_a_fit_from_a_file_infers_as_the_fit_did(folder, tmp_path, capsys):
    made, from_data, from_file = tmp_path / "made", tmp_path / "data", tmp_path / "file"
    data = ["--data", str(folder / "rows.csv"), "--inference", "polynomial:1"]
    assert main(["fit", EXAMPLE, *data, "--out", str(made)]) == 0
    new = ["--new", str(folder / "new.csv")]
    assert main(["infer", EXAMPLE, *data, *new, "--out", str(from_data)]) == 0
    capsys.readouterr()
    archive = made / "fit.amortis"
    assert main(["infer", EXAMPLE, "--fit", str(archive), *new, "--out", str(from_file)]) == 0
    assert f"{archive}: Trained(Polynomial with 6 parameters" in capsys.readouterr().out
    first, second = (np.load(place / "inferred.npz") for place in (from_data, from_file))
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "neither --data nor --fit is given; expected one"),
        (["--data", "rows.csv", "--fit", "fit.amortis"], "both --data and --fit are given"),
        (["--fit", "nowhere.amortis"], "nowhere.amortis"),
    ],
)
def test_one_of_data_and_fit_is_asked_for(folder, capsys, options, message):
    assert main(["infer", EXAMPLE, "--new", str(folder / "new.csv"), *options]) != 0
    said = capsys.readouterr().err.strip()
    assert message in said and len(said.splitlines()) == 1


def test_a_diagnosis_is_written_as_numbers_and_as_a_page(folder, tmp_path, capsys):
    data = ["--data", str(folder / "rows.csv"), "--inference", "constant"]
    assert main(["diagnose", EXAMPLE, *data, "--out", str(tmp_path)]) == 0
    assert "written to" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text("utf8")
    assert json.loads((tmp_path / "diagnosis.json").read_text())["finding"] == "FUNCTION_TOO_SMALL"
    assert "<h1" in page and "too small here" in page
