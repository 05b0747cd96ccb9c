"""Every kind of bad input reaches the command line as one line, exit code 2, and no traceback."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from amortis.cli import main

MODELS = Path(__file__).with_name("bad_models.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bad_input")
    x = np.linspace(-1.0, 1.0, 12)
    bad, endless = x.copy(), x.copy()
    bad[[3, 7]], endless[5] = np.nan, -np.inf
    arrays = {
        "x": {"x": x},
        "nan": {"x": bad},
        "inf": {"x": endless},
        "wide": {"x": np.ones((12, 5))},
        "unequal": {"x": x, "y": np.ones(11)},
        "empty": {"x": x[:0]},
        "object": {"x": np.array([[1.0], [2.0, 3.0]], dtype=object)},
        "text": {"x": np.array(["a", "b"])},
        "another": {"X": x},
    }
    for name, content in arrays.items():
        np.savez(folder / f"{name}.npz", **content)
    (folder / "nan.csv").write_text("x\n1.0\nnan\n2.0\n")
    (folder / "gap.csv").write_text("x,w\n1.0,2\n,3\n")
    (folder / "rows.txt").write_text("1 2 3\n")
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    (folder / "a file").write_text("")
    return folder


def refusal(capsys, arguments: list[str]) -> str:
    """The one line of a refusal, with all that every refusal must have checked."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("amortis: ") and err.endswith("\n") and err.count("\n") == 1
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        ("good", "nan.npz", r"'x' has nan first in row 3 \(2 such values\); expected finite"),
        ("good", "inf.npz", r"'x' has -inf first in row 5"),
        ("good", "nan.csv", r"x.* row 1"),
        ("good", "gap.csv", r"line 3, column 'x': the cell is empty, expected a number"),
        ("two_arrays", "unequal.npz", r"unequal leading lengths .*x has 12.*y has 11"),
        ("good", "empty.npz", r"'x' is empty, shape \(0,\); expected at least one row"),
        ("good", "object.npz", r"array 'x': it holds Python objects, expected numbers"),
        ("good", "text.npz", r"'x': got an array of type <U1, expected numbers"),
        ("discrete", "x.npz", r"latent site 'k' \(Bernoulli\w*\) is discrete"),
        ("improper", "x.npz", r"latent site 'theta' \(WithoutSupport\) has no support; give it"),
        ("crossed", "wide.npz", r"plates .*'rows'.* cross at site 'z'"),
        ("size_written", "x.npz", r"numpyro.plate\('rows', x.shape\[0\]\)"),
        ("outside_its_support", "x.npz", r"site 'x' \(LogNormal\) observes -1.*positive numbers"),
        ("raises", "x.npz", r"the model raised KeyError .*bad_models.py:\d+: .*scale\[\"b\"\]"),
        ("good", "x.csv", r"no file '.*x.csv'"),
        ("good", "another.npz", r"has no column 'x' .*; did you mean 'X'\?"),
        ("two_arrays", "x.npz", r"has no column 'y' for that argument of two_arrays\(\)"),
        ("good", "rows.txt", r"rows.txt' ends like no format read here, expected .csv"),
        ("good", "broken.npz", r"is not an NPZ archive, or is damaged"),
        ("NOT_A_MODEL", "x.npz", r"'NOT_A_MODEL' .* is a int; expected the model as a function"),
        ("goood", "x.npz", r"defines no 'goood'; did you mean 'good'\?"),
    ],
)
def test_models_and_data_that_do_not_fit(capsys, files, model, data, words) -> None:
    line = refusal(capsys, ["fit", f"{MODELS}:{model}", "--data", str(files / data)])
    assert re.search(words, line), line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--draws", "0"], "--draws is 0; expected at least 1"),
        (["--restarts", "0"], "--restarts is 0; expected at least 1"),
        (["--inference", "polynomial:0"], "degree is 0; expected at least 1: use Constant"),
        (["--inference", "mlp:0x2"], "MLP width is 0; expected at least 1"),
        (["--optimiser", "fixed:0"], "FixedDraws draws is 0; expected at least 1"),
        (["--optimiser", "fresh:0"], "FreshDraws batch is 0; expected at least 1"),
        (["--globals", "full"], "--globals is 'full'; expected diagonal, point, full-rank"),
        (["--seed", "-1"], "--seed is -1; expected 0 to"),
        (["--set", "ds=2"], "'ds', which is no argument of the model; choose among x, sd"),
        (["--set", "sd=nan"], "sd"),
        (["--local", "row"], "local='row' is neither a latent site nor a plate"),
        (["--out", "a file"], "--out is 'a file', which cannot be made"),
        (["--data", "x.npz"], "both .* and 'x.npz' have an array 'x'"),
    ],
)
def test_options_out_of_range(capsys, monkeypatch, files, options, words) -> None:
    monkeypatch.chdir(files)
    line = refusal(capsys, ["fit", f"{MODELS}:good", "--data", str(files / "x.npz"), *options])
    assert re.search(words, line), line


def test_nothing_is_written_when_the_model_is_refused(capsys, files, tmp_path) -> None:
    data = str(files / "nan.npz")
    refusal(capsys, ["fit", f"{MODELS}:good", "--data", data, "--out", str(tmp_path / "o")])
    assert list(tmp_path.glob("o/*")) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{models}:good", "--data", "nan.npz"], "'x' has nan first in row 3"),
        (["{models}:raises", "--data", "x.npz"], "the model raised KeyError"),
        (["missing.py:model", "--data", "x.npz"], "there is no file 'missing.py'"),
        (["{models}:good", "--data", "x.npz", "--draws", "zero"], "--draws"),
    ],
)
def test_a_process_of_its_own_says_the_same(files, arguments, words) -> None:
    filled = [argument.format(models=MODELS) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "amortis.cli", "fit", *filled],
        cwd=files,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("amortis: ") and done.stderr.count("\n") == 1
    assert words in done.stderr


def test_the_traceback_of_a_model_can_be_asked_for(capsys, files) -> None:
    arguments = ["fit", f"{MODELS}:raises", "--data", str(files / "x.npz"), "--debug"]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert 'bad_models.py", line ' in err and "KeyError: 'b'" in err
