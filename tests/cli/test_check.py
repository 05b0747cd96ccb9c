"""`amortis check` from files to an exit code, on models whose verdicts are known."""

import json
import sys
import xml.etree.ElementTree as ElementTree

import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

import amortis
from amortis.cli import main
from amortis.cli.check import AnswerCode, answer_code
from amortis.structure import Evidence, Kind, Verdict

MODELS = """
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

NOISE = np.linspace(0.5, 2.0, 12, dtype=np.float32)

def linear(x, sd=1.0):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, sd), obs=x)

def walk(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
    numpyro.factor("steps", dist.Normal(z[:-1], 1.0).log_prob(z[1:]).sum())
    numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

def hidden(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(z, NOISE), obs=x)

def globals_only(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    with numpyro.plate("rows", x.shape[0]):
        numpyro.sample("x", dist.Normal(theta, 1.0), obs=x)

def mean_inside(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.mean(x), 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

def raises(x):
    raise KeyError("b")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file of models and a file of data."""
    place = tmp_path_factory.mktemp("check")
    (place / "models.py").write_text(MODELS)
    rows = np.random.default_rng(0).normal(size=12)
    np.savetxt(place / "rows.csv", rows, header="x", comments="", fmt="%.6g")
    return place


@pytest.fixture
def run(folder, capsys):
    """Runs the command on a model; returns its exit code, output and errors."""

    def command(name: str, *more: str) -> tuple[int, str, str]:
        where, data = f"{folder / 'models.py'}:{name}", str(folder / "rows.csv")
        code = main(["check", where, "--data", data, *more])
        return (code, *capsys.readouterr())

    return command


def without_time(plain: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in plain.items() if key != "seconds"}


@pytest.mark.parametrize(
    ("name", "code", "start"),
    [
        ("linear", 0, "YES (POINTWISE): "),
        ("walk", 1, "NO (COUPLED): "),
        ("hidden", 1, "NO (HIDDEN): "),
        ("globals_only", 1, "NO_LOCALS: "),
        ("mean_inside", 3, "NOT DECIDED (UNKNOWN): "),
    ],
)
def test_the_answer_is_printed_and_is_the_exit_code(run, name, code, start) -> None:
    found, out, err = run(name)
    assert (found, err) == (code, "")
    assert out.startswith(start)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_exit_code(kind) -> None:
    verdict = Verdict(kind, "rows", 2, ("z",), (), (), Evidence.PROBED, False)
    expected = {True: 0, False: 1, None: 3}[verdict.answer]
    assert answer_code(verdict) == expected
    assert isinstance(answer_code(verdict), AnswerCode)


def test_json_is_the_verdict_and_nothing_else(run, folder) -> None:
    code, out, err = run("walk", "--json")
    assert (code, err) == (1, "")
    module = sys.modules["_amortis_model_models"]
    x = jnp.asarray(np.loadtxt(folder / "rows.csv", skiprows=1, dtype=np.float32))
    expected = json.loads(json.dumps(amortis.check(module.walk, x).to_dict()))
    assert without_time(json.loads(out)) == without_time(expected)


def test_a_folder_gets_the_verdict_and_its_drawing(run, tmp_path) -> None:
    out = tmp_path / "new" / "folder"
    code, text, err = run("linear", "--set", "sd=2.0", "--out", str(out))
    assert (code, err) == (0, "")
    assert text.endswith(f"\nwritten to {out}: verdict.json, graph.svg, graph.png\n")
    assert sorted(p.name for p in out.iterdir()) == ["graph.png", "graph.svg", "verdict.json"]
    assert json.loads((out / "verdict.json").read_text())["kind"] == "POINTWISE"
    root = ElementTree.parse(out / "graph.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    image = matplotlib.image.imread(out / "graph.png")
    np.testing.assert_allclose(image.shape[:2], (1.5 * height, 1.5 * width), atol=1.0)


def test_json_stays_alone_on_the_output_beside_files(run, tmp_path) -> None:
    code, text, err = run("walk", "--json", "--out", str(tmp_path))
    assert code == 1
    assert json.loads(text) == json.loads((tmp_path / "verdict.json").read_text())
    assert err.strip().startswith(f"written to {tmp_path}: ")


def test_without_matplotlib_the_other_files_are_written(run, tmp_path, monkeypatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, text, _ = run("walk", "--out", str(tmp_path))
    assert code == 1 and "pip install" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["graph.svg", "verdict.json"]


def test_local_names_the_plate_or_the_site(run) -> None:
    for name in ("rows", "z"):
        code, out, _ = run("linear", "--local", name)
        assert code == 0 and "24" not in out and "12 units" in out


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("liner", (), "defines no 'liner'; did you mean 'linear'?"),
        ("linear", ("--local", "rosw"), "local='rosw' is neither a plate"),
        ("linear", ("--local", "theta"), "local='theta' is neither a plate"),
        ("globals_only", ("--local", "z"), "local='z' is neither a plate"),
        ("linear", ("--set", "sd"), "--set is 'sd'; expected NAME=VALUE"),
        ("linear", ("--data", "none.csv"), "none.csv"),
        ("linear", ("--out", "/dev/null/x"), "--out is '/dev/null/x', which cannot be made"),
        ("linear", ("--inference", "table"), "--inference"),
        ("raises", (), 'models.py:37: raise KeyError("b")'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, name, more, words) -> None:
    code, out, err = run(name, *more)
    assert (code, out) == (2, "")
    assert err.startswith("amortis: ") and err.count("\n") == 1
    assert words in err


def test_data_are_asked_for(capsys) -> None:
    assert main(["check", "models.py:linear"]) == 2
    assert "Missing option '--data'" in capsys.readouterr().err


def test_help_tells_the_exit_codes(capsys) -> None:
    assert main(["check", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "0 yes, 1 no, 3 not decided" in out and "--json" in out and "--local" in out
