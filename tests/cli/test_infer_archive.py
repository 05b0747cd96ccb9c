"""`amortis infer --fit`: the archive's plain arguments, unless the command gives others."""

import numpy as np
import pytest

from amortis.cli import main

MODEL = """
import numpyro
import numpyro.distributions as dist


def model(x, width=1.0, **options):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(z, width * options["sd"]), obs=x)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a fit of it with `sd` and `width`, and files of new data."""
    place = tmp_path_factory.mktemp("archive")
    (place / "wide.py").write_text(MODEL, "utf8")
    np.savetxt(place / "rows.csv", np.linspace(-2.0, 2.0, 20), header="x", comments="")
    np.savetxt(place / "width.csv", np.ones(20), header="width", comments="")
    chosen = ["--inference", "polynomial:1", "--out", str(place / "made")]
    given = ["--set", "sd=0.5", "--set", "width=3.0"]
    rows = ["--data", str(place / "rows.csv")]
    assert main(["fit", f"{place / 'wide.py'}:model", *rows, *chosen, *given]) == 0
    return place


def infer(folder, *more: str) -> int:
    archive = ["--fit", str(folder / "made" / "fit.amortis"), "--new", str(folder / "rows.csv")]
    return main(["infer", f"{folder / 'wide.py'}:model", *archive, *more])


def test_arguments_of_the_fit_are_taken_from_its_archive(folder, tmp_path) -> None:
    assert infer(folder, "--out", str(tmp_path)) == 0
    with np.load(tmp_path / "inferred.npz") as found:
        mean = found["z.mean"]
    sd = 1.5
    expected = np.linspace(-2.0, 2.0, 20) / (1.0 + sd**2)  # the closed form
    np.testing.assert_allclose(mean, expected, atol=0.02)


def test_what_is_given_comes_before_what_the_archive_knows(folder, capsys) -> None:
    assert infer(folder, "--set", "sd=2.0") == 2
    assert "sd is 2, but was 0.5 when the model was fitted" in capsys.readouterr().err
    assert infer(folder, "--new", f"width={folder / 'width.csv'}") == 2
    assert "'width' has shape (20,), but was a single value" in capsys.readouterr().err


def test_a_folder_is_not_made_for_an_archive_that_cannot_be_read(folder, tmp_path, capsys) -> None:
    (tmp_path / "fit.amortis").write_bytes(b"nothing")
    bad = ["--fit", str(tmp_path / "fit.amortis"), "--new", str(folder / "rows.csv")]
    out = tmp_path / "out"
    assert main(["infer", f"{folder / 'wide.py'}:model", *bad, "--out", str(out)]) == 2
    assert "fit.amortis" in capsys.readouterr().err and not out.exists()
