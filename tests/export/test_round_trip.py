"""What comes out of an archive is what went in, to the bit, here and in another process."""

import dataclasses
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import amortis
from amortis import (
    MLP,
    AnnealedKL,
    ArchiveError,
    ArgumentError,
    Constant,
    DataError,
    Evidence,
    Fit,
    FreeBits,
    ImportanceWeighted,
    Input,
    Kind,
    Polynomial,
    Renyi,
    SemiAmortized,
    SetNetwork,
    Status,
    Table,
    Trained,
    Verdict,
    Windowed,
    fit,
    from_numpyro,
    infer,
    load,
    save,
)
from amortis.export.choices import (
    ACTIVATIONS,
    FAMILIES,
    OBJECTIVES,
    function_from_plain,
    function_to_plain,
    objective_from_plain,
    objective_to_plain,
)
from amortis.export.choices import FUNCTIONS as FUNCTIONS_KNOWN
from amortis.export.container import read_container, write_container
from amortis.export.malformed import Malformed
from amortis.families import AbstractFamily, PartlyPoint
from amortis.inference_functions import AbstractInferenceFunction
from amortis.objectives import AbstractObjective
from tests.export.fits import CASES, HISTORY, density, moments, of_cases, unoptimised

ROOT = Path(__file__).parents[2]
X = np.linspace(-1.0, 1.0, 12, dtype=np.float32)

# Infers with every archive of a folder; of the cases it takes the models and the new data only.
ELSEWHERE = """
import sys
import jax
import numpy as np
from amortis import infer, load
from tests.export import fits

folder = sys.argv[1]
known = {n: (c.model, c.new) for n, c in fits.CASES.items()}
for name, (model, new) in known.items():
    loaded = load(f"{folder}/{name}.amortis", model)
    np.savez(f"{folder}/{name}.npz", **fits.moments(infer(loaded, *new)))
"""


@pytest.fixture(scope="module")
def fits() -> dict[str, Fit]:
    return of_cases()


def bits(leaf) -> bytes:
    array = np.asarray(leaf)
    return repr((array.dtype, array.shape)).encode() + array.tobytes()


def assert_same(found, expected) -> None:
    """Arrays in the same places, equal to the bit."""
    pairs = (jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (found, expected))
    for (place, a), (other, b) in zip(*pairs, strict=True):
        assert place == other
        assert bits(a) == bits(b)


def assert_same_guide(found, expected) -> None:
    for name in ("global_family", "local_family", "inference", "theta", "z", "shape"):
        assert getattr(found, name) == getattr(expected, name)
    assert list(found.z.shapes) == list(expected.z.shapes)
    assert list(found.theta.shapes) == list(expected.theta.shapes)
    for name in ("standardize", "offset"):
        assert_same(getattr(found, name), getattr(expected, name))


def assert_same_history(found) -> None:
    for name in ("seconds", "objective", "draws", "iterations"):
        assert bits(getattr(found, name)) == bits(getattr(HISTORY, name))


def test_a_fresh_process_without_the_data_infers_the_same_numbers(fits, tmp_path) -> None:
    for name, fitted in fits.items():
        save(fitted, tmp_path / f"{name}.amortis")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name, fitted in fits.items():
        expected = moments(infer(fitted, *CASES[name].new))
        with np.load(tmp_path / f"{name}.npz") as found:
            assert set(found.files) == set(expected)
            assert [n for n in expected if bits(found[n]) != bits(expected[n])] == []


@pytest.mark.parametrize("name", CASES)
def test_all_that_was_learned_comes_back(fits, name, tmp_path) -> None:
    save(fits[name], tmp_path / "fit.amortis")
    found = load(tmp_path / "fit.amortis", CASES[name].model)
    expected = Trained.of(fits[name])
    assert isinstance(found, Trained)
    assert_same_guide(found.guide, expected.guide)
    assert_same(found.variational, expected.variational)
    for field in ("input_names", "series_names", "member_names", "status"):
        assert getattr(found, field) == getattr(expected, field)
    for field in ("form", "function", "local", "by_rows"):  # the structure is looked into again
        assert getattr(found.rebind, field) == getattr(expected.rebind, field)
    assert_same_history(found.history)
    assert found.parameters == fits[name].parameters
    assert load(tmp_path / "fit.amortis").rebind is None


@pytest.mark.parametrize("name", ["decorrelated", "edges", "sets"])
def test_with_its_data_the_whole_fit_comes_back(fits, name, tmp_path, key) -> None:
    save(fits[name], tmp_path / "fit.amortis")
    case = CASES[name]
    found = load(tmp_path / "fit.amortis", case.model, *case.given)
    assert isinstance(found, Fit)
    assert not found.held
    assert_same_guide(found.guide, fits[name].guide)
    assert_same(found.guide.contexts, fits[name].guide.contexts)
    assert_same(found.model.inputs, fits[name].model.inputs)
    assert_same_history(found.history)
    assert_same(found.moments(), fits[name].moments())
    assert found.elbo(key=key, draws=6) == fits[name].elbo(key=key, draws=6)


def test_what_infer_and_refine_make_is_saved_as_well(fits, tmp_path, key) -> None:
    case = CASES["edges"]
    post = infer(fits["edges"], *case.new)
    save(post, tmp_path / "post.amortis")
    again = load(tmp_path / "post.amortis", case.model, *case.new)
    assert again.held
    assert_same(again.local_moments(), post.local_moments())


def test_a_table_needs_its_data(fits, tmp_path) -> None:
    case, table = CASES["decorrelated"], unoptimised(fits["decorrelated"].model, Table())
    save(table, tmp_path / "fit.amortis")
    again = load(tmp_path / "fit.amortis", case.model, *case.given)
    assert_same(again.variational, table.variational)
    assert_same(again.local_moments(), table.local_moments())
    for function in (None, case.model):
        with pytest.raises(
            ArgumentError, match=r"Table\(\).*those data as well: load\(path, columns"
        ):
            load(tmp_path / "fit.amortis", function)


def test_only_the_columns_that_are_read_are_read_again(tmp_path) -> None:
    data = {"a": X, "unread": np.cos(X)}
    read = (Input("data['a']"),)
    verdict = Verdict(Kind.POINTWISE, "rows", 12, ("z",), read, (), Evidence.PROBED, True)
    fitted = unoptimised(density(data).reading(verdict), MLP(2))
    assert fitted.model.input_names == ("data['a']",)
    save(fitted, tmp_path / "fit.amortis")
    again = load(tmp_path / "fit.amortis", density(data))
    assert again.model.input_names == fitted.model.input_names
    assert_same(again.local_moments(), fitted.local_moments())


def test_a_fit_that_was_optimised(tmp_path, key) -> None:
    fitted = fit(density(X), key=key, inference=Polynomial(1))
    save(fitted, str(tmp_path / "fit.amortis"))
    again = load(str(tmp_path / "fit.amortis"), density(X))
    assert again.status is fitted.status
    for name in ("seconds", "objective", "draws", "iterations"):
        assert bits(getattr(again.history, name)) == bits(getattr(fitted.history, name))
    assert again.elbo(key=key) == fitted.elbo(key=key)


@pytest.mark.parametrize(
    "objective",
    [
        SemiAmortized(3, 0.25),
        ImportanceWeighted(4),
        Renyi(0.25, 5),
        AnnealedKL(300, 0.25, 0.02),
        FreeBits(0.75),
    ],
    ids=str,
)
def test_what_was_maximised_is_kept(objective, tmp_path) -> None:
    fitted = dataclasses.replace(unoptimised(density(X), Polynomial(1)), objective=objective)
    save(fitted, tmp_path / "fit.amortis")
    again = load(tmp_path / "fit.amortis", density(X))
    assert again.objective == objective
    # Annealing is a way to the ELBO's own optimum; the others have optima of their own.
    assert again.maximises_elbo is isinstance(objective, AnnealedKL)
    assert load(tmp_path / "fit.amortis").objective == objective


def test_older_archives_do_not_say_what_was_maximised() -> None:
    assert objective_to_plain(None) is None and objective_from_plain(None) is None
    with pytest.raises(Malformed, match="'Elbow' where one of SemiAmortized, "):
        objective_from_plain({"class": "Elbow"})


def test_densities_are_bound_by_the_user(tmp_path) -> None:
    fitted = unoptimised(density(X), Polynomial(1))
    save(fitted, tmp_path / "fit.amortis")
    assert_same(load(tmp_path / "fit.amortis", density(X)).moments(), fitted.moments())
    with pytest.raises(DataError, match="other values in 'data'"):
        load(tmp_path / "fit.amortis", density(X + 1.0))
    with pytest.raises(ArgumentError, match=r"made by from_density; expected the bound model"):
        load(tmp_path / "fit.amortis", density)
    with pytest.raises(ArgumentError, match=r"cannot be bound again; .* amortis\.load"):
        infer(load(tmp_path / "fit.amortis"), X)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_every_bit_pattern_survives(fits, dtype, tmp_path) -> None:
    fitted = fits["point"]
    numbers = jnp.asarray([np.nan, -np.nan, np.inf, -0.0, 1e-45, 6e-8, 1.0 / 3.0], dtype)
    variational = {**fitted.variational, "globals": jnp.resize(numbers, 3)}
    odd = jax.tree.map(lambda leaf: jnp.resize(numbers, leaf.shape), variational)
    save(Fit(fitted.model, fitted.guide, odd, Status.DIVERGED, HISTORY), tmp_path / "fit.amortis")
    found = load(tmp_path / "fit.amortis")
    assert found.status is Status.DIVERGED
    assert_same(found.variational, odd)


def test_64_bit_numbers_are_kept_or_refused(tmp_path) -> None:
    with jax.enable_x64(True):
        data = X.astype(np.float64) + 1e-12
        fitted = unoptimised(density(data), MLP(2))
        odd = jnp.asarray([1.0 / 3.0, 5e-324])
        fitted = dataclasses.replace(fitted, variational={**fitted.variational, "globals": odd})
        save(fitted, tmp_path / "fit.amortis")
        again = load(tmp_path / "fit.amortis", density(data))
        assert_same(again.variational, fitted.variational)
        assert_same(again.moments(), fitted.moments())
    with pytest.raises(ArchiveError, match=r"64-bit numbers.*32 bit.*call jax\.config\.update"):
        load(tmp_path / "fit.amortis")


def test_the_same_fit_gives_the_same_bytes_and_numpy_reads_them(fits, tmp_path) -> None:
    for name in ("a", "b"):
        save(fits["sets"], tmp_path / f"{name}.amortis")
    assert (tmp_path / "a.amortis").read_bytes() == (tmp_path / "b.amortis").read_bytes()
    with np.load(tmp_path / "a.amortis") as archive:
        assert bits(archive["variational.globals"]) == bits(fits["sets"].variational["globals"])
        assert bits(archive["history.objective"]) == bits(HISTORY.objective)


def test_no_training_data_are_in_the_file(fits, tmp_path) -> None:
    for name in ("decorrelated", "edges", "sets", "point"):
        save(fits[name], tmp_path / "fit.amortis")
        kept = (tmp_path / "fit.amortis").read_bytes()
        data = np.asarray(CASES[name].given[0])
        rows = data.reshape(data.shape[0], -1)
        assert not any(value.tobytes() in kept for value in rows.ravel())
        assert not any(repr(float(value))[:7] in kept.decode("latin1") for value in rows.ravel())
        with zipfile.ZipFile(tmp_path / "fit.amortis") as archive:
            of_units = [n for n in archive.namelist() if "context" in n or "data" in n]
        assert of_units == []


def test_other_data_are_refused(tmp_path, standard_promotion) -> None:
    save(unoptimised(density(X), Constant()), tmp_path / "fit.amortis")
    close = X.copy()
    close[3] = np.nextafter(close[3], np.float32(9.0))
    for data, message in (
        (close, "other values in 'data', while the fit was made with the same ones"),
        (X[:-1], r"shape \(11,\) in 'data', while the fit was made with \(12,\)"),
        (X.astype(np.float16), "dtype float16 in 'data', .* with float32"),
        ({"x": X}, r"the data are data\['x'\], while the fit was made with data; expected the fit"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            load(tmp_path / "fit.amortis", density(data))
        assert "\n" not in str(caught.value)


def test_other_arguments_that_are_no_arrays_are_refused(fits, tmp_path) -> None:
    case = CASES["decorrelated"]
    save(fits["decorrelated"], tmp_path / "fit.amortis")
    with pytest.raises(DataError, match="other values of the arguments that are no arrays"):
        load(tmp_path / "fit.amortis", case.model, case.given[0], 0.25)


def test_another_model_is_refused(fits, tmp_path) -> None:
    def other(x, scale):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), scale))
            numpyro.sample("x", dist.Normal(z[:, None], 1.0).to_event(1), obs=x)

    save(fits["decorrelated"], tmp_path / "fit.amortis")
    with pytest.raises(DataError, match="the model has globals none, but it was fitted with mu"):
        infer(load(tmp_path / "fit.amortis", other), *CASES["decorrelated"].new)


FUNCTIONS = {
    "categories": [
        Constant(),
        Polynomial(3),
        Windowed(Polynomial(1), (-2, 5)),
        Windowed(Constant(), [0]),
        *(MLP(2, activation=known) for known in ACTIVATIONS.values()),
    ],
    "edges": [Windowed(MLP(1, 3, False), (0, 1)), MLP()],
    "sets": [SetNetwork(0), SetNetwork(width=3)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_with_every_choice(fits, name, tmp_path) -> None:
    for function in FUNCTIONS[name]:
        fitted = unoptimised(fits[name].model, function)
        save(fitted, tmp_path / "fit.amortis")
        found = load(tmp_path / "fit.amortis")
        assert_same_guide(found.guide, fitted.guide)
        assert_same(found.variational, fitted.variational)


def test_every_choice_of_the_front_door_is_known() -> None:
    # A network is code of the user's, which no archive holds.
    public = [getattr(amortis, name) for name in amortis.__all__ if name != "Network"]
    for kind, known in (
        (AbstractFamily, FAMILIES),
        (AbstractInferenceFunction, FUNCTIONS_KNOWN),
        (AbstractObjective, OBJECTIVES),
    ):
        there = {c.__name__: c for c in public if isinstance(c, type) and issubclass(c, kind)}
        # Nobody chooses `PartlyPoint`: it is what a model with parameters makes of a choice.
        assert there == {n: c for n, c in known.items() if c is not PartlyPoint}


def test_where_a_table_started_is_kept_and_older_archives_do_not_say():
    apart = function_to_plain(Table(start_sd=2.0))
    assert apart == {"class": "Table", "start_sd": 2.0}
    assert function_from_plain(apart) == Table(start_sd=2.0)
    assert function_to_plain(Table()) == {"class": "Table"}
    assert function_from_plain({"class": "Table"}) == Table()


def test_older_archives_know_nothing_of_long_rows(tmp_path) -> None:
    def model(counts) -> None:
        with numpyro.plate("documents", counts.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            law = dist.Poisson(jnp.exp(z)[:, None] * jnp.ones(counts.shape[1])).to_event(1)
            numpyro.sample("counts", law, obs=counts)

    counts = (np.random.default_rng(0).random((200, 12)) < 0.1) * 1.0
    counts[0] = 30.0
    path = tmp_path / "fit.amortis"
    fitted = unoptimised(from_numpyro(model, counts.astype(np.float32)), MLP(width=4))
    assert float(fitted.guide.standardize.shortening) > 0.0
    save(fitted, path)
    assert_same(infer(load(path, model), counts).moments(), infer(fitted, counts).moments())
    assert load(path).guide.standardize.shortening == fitted.guide.standardize.shortening
    plain, arrays = read_container(path)
    arrays = {name: a for name, a in arrays.items() if name != "standardize.shortening"}
    write_container(path, plain, arrays)
    older = load(path).guide.standardize
    assert float(older.shortening) == 0.0 and older.shortening.dtype == older.rows.center.dtype
