import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from amortis._errors import ArgumentError
from amortis.cli.output import (
    local_moments,
    posterior_draws,
    prepare_folder,
    write_arrays,
    write_json,
    write_plots,
)
from tests.report.small_fit import ROWS, small_fit


def test_a_folder_is_made_with_its_parents(tmp_path) -> None:
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    assert prepare_folder(tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, where) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match=r"--out is '.*', which cannot be made: ") as refusal:
        prepare_folder(tmp_path / where)
    assert "\n" not in str(refusal.value)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ArgumentError, match="which cannot be written; name a folder"):
        prepare_folder(tmp_path)


def test_arrays_and_numbers_come_back(tmp_path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None]}
    write_arrays(tmp_path / "a.npz", {"x": np.arange(3), "W": np.eye(2)})
    with np.load(tmp_path / "a.npz") as archive:
        assert sorted(archive) == ["W", "x"]
        np.testing.assert_array_equal(archive["W"], np.eye(2))


def test_draws_are_those_of_the_posterior(key) -> None:
    fit = small_fit()
    draws, left_out = posterior_draws(fit, fit.moments(), key, 50)
    assert left_out == ()
    expected = fit.posterior(key=key, draws=50)
    assert {name: value.shape for name, value in draws.items()} == {
        "mu": (50, 2),
        "sigma": (50,),
        "z": (50, ROWS),
    }
    for name, value in draws.items():
        np.testing.assert_array_equal(value, expected[name])


def test_sites_with_too_many_draws_are_left_out(key, monkeypatch) -> None:
    fit = small_fit()
    monkeypatch.setattr("amortis.cli.output._BLOCK_NUMBERS", 33 * 64)  # blocks of 64 draws
    draws, left_out = posterior_draws(fit, fit.moments(), key, 1000, most=5000)
    assert left_out == ("z",)
    assert {name: value.shape for name, value in draws.items()} == {
        "mu": (1000, 2),
        "sigma": (1000,),
    }
    assert len(np.unique(draws["sigma"])) > 990  # blocks do not repeat each other
    mean, sd = (np.asarray(of) for of in fit.moments()["mu"])
    # Five standard errors of a mean of 1000 independent draws; six for their sd.
    np.testing.assert_array_less(np.abs(draws["mu"].mean(0) - mean), 5 * sd / np.sqrt(1000))
    np.testing.assert_array_less(np.abs(draws["mu"].std(0) / sd - 1), 6 / np.sqrt(2000))


def test_local_moments_carry_the_site_s_name() -> None:
    fit = small_fit()
    moments = fit.moments()
    arrays = local_moments(fit, moments)
    assert sorted(arrays) == ["z.mean", "z.sd"]
    np.testing.assert_array_equal(arrays["z.mean"], moments["z"][0])
    np.testing.assert_array_equal(arrays["z.sd"], moments["z"][1])


def test_plots_are_written_where_matplotlib_is(tmp_path: Path) -> None:
    fit = small_fit()
    assert write_plots(fit, fit.moments(), tmp_path) == (["elbo.png", "globals.png"], "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elbo.png", "globals.png"]


def test_without_matplotlib_there_is_a_hint_and_no_plot(tmp_path, monkeypatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    fit = small_fit()
    names, hint = write_plots(fit, fit.moments(), tmp_path)
    assert names == [] and "pip install" in hint
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_the_draws_matters() -> None:
    fit = small_fit()
    one, two = (
        posterior_draws(fit, fit.moments(), jax.random.key(i), 5)[0]["sigma"] for i in (1, 2)
    )
    assert not np.array_equal(one, two)
