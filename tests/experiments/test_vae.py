"""The VAE experiment at the size of a test, the code of its page, and other likelihoods."""

import dataclasses
import functools
import json
import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.module import eqx_module
from numpyro.distributions import constraints

import amortis
from amortis.cli import main
from amortis.experiments.binarised import Binarised
from amortis.experiments.sheet import write_sheet
from amortis.experiments.vae import VaeSize, run_vae, vae_sheet
from amortis.experiments.vae import run as run_module
from amortis.report import fit_numbers, report

pytestmark = pytest.mark.usefixtures("standard_promotion")

PAGE = Path(__file__).parents[2] / "docs" / "vae.md"
SIZE = VaeSize(
    training=60,
    held_out=60,
    latent=2,
    width=6,
    batch=20,
    iterations=40,
    rate=1e-2,
    measured=6,
    families=(amortis.DiagonalNormal(), amortis.FullRank()),
    importance=200,
    temperatures=4,
    chains=4,
    leapfrog=2,
    weighed=6,
    gap_draws=256,
)
SHORTENED = functools.partial(amortis.ConstantRate, 1e-2, iterations=20, batch=20)


def bars(count: int, seed: int) -> np.ndarray:
    """Images of 4 x 4 zeros and ones, in which one row or one column is bright."""
    drawn = np.random.default_rng(seed)
    images = np.full((count, 4, 4), 0.05)
    for image, line in zip(images, drawn.integers(8, size=count), strict=True):
        image[(line,) if line < 4 else (slice(None), line - 4)] = 0.95
    return (drawn.random(images.shape) < images).astype(np.float32).reshape(count, 16)


@pytest.fixture(scope="module")
def images() -> Binarised:
    return Binarised(bars(60, 0), bars(60, 1), np.arange(60) % 3, 4)


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    with jax.numpy_dtype_promotion("standard"):
        return folder, run_vae(images, SIZE, key=jax.random.key(0), folder=folder)


def test_the_terms_telescope_from_the_evidence_to_the_encoder(finished):
    _, (result, _) = finished
    assert [gap.images for gap in result.gaps] == ["training", "held-out"]
    for gap in result.gaps:
        whole = gap.log_evidence.mean - gap.encoder.mean
        assert gap.approximation + gap.amortization.mean == pytest.approx(whole, abs=1e-4)
        # The chance of this to fail by noise is below 1e-4; the seed is fixed.
        assert abs(gap.closure) < 4.0 * gap.closure_se
        assert gap.optima[1].mean > gap.optima[0].mean - 0.05
        assert gap.amortization.mean > 0.0


def test_the_likelihood_is_that_of_a_grid(finished, images):
    _, (result, _) = finished
    at = np.linspace(-6.0, 6.0, 121)
    z = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2).astype(np.float32)
    fitted, network = _kept(finished, images)
    decoder = eqx.combine(fitted.params["decoder$params"], network)
    logits = np.asarray(jax.vmap(decoder)(z), np.float64)
    x = images.held_out[: SIZE.weighed].astype(np.float64)
    log_x = x @ logits.T - np.logaddexp(0.0, logits).sum(axis=1)
    log_prior = -0.5 * (z.astype(np.float64) ** 2).sum(axis=1) - np.log(2.0 * np.pi)
    cell = 2.0 * np.log(at[1] - at[0])
    exact = np.logaddexp.reduce(log_x + log_prior + cell, axis=1).mean()
    found = result.likelihood
    assert abs(found.mean - exact) < 4.0 * found.draws_se + 1e-3
    assert found.draws_se < 0.1
    assert found.mean > found.elbo - 4.0 * found.draws_se


def test_pictures_are_what_the_decoder_makes_of_latents(finished, images):
    _, (_, pictures) = finished
    fitted, network = _kept(finished, images)
    held_out = amortis.infer(fitted, images.held_out)
    means = held_out.local_moments()[0][:3]  # the first image of each of three labels
    decoder = eqx.combine(fitted.params["decoder$params"], network)
    wanted = jax.nn.sigmoid(jax.vmap(decoder)(means)).reshape(3, 4, 4)
    np.testing.assert_allclose(pictures.reconstructions, wanted, atol=1e-5)
    np.testing.assert_array_equal(pictures.originals, images.held_out[:3].reshape(3, 4, 4))
    moved = means[0].at[pictures.latents[0]].set(pictures.values[-1])
    last = jax.nn.sigmoid(decoder(moved)).reshape(4, 4)
    np.testing.assert_allclose(pictures.traversals[0, -1], last, atol=1e-5)


def test_a_killed_run_goes_on(finished, images, monkeypatch):
    folder, (result, pictures) = finished
    (folder / next(p.name for p in folder.glob("likelihood-*.json"))).unlink()

    def not_again(*_):
        raise AssertionError("was kept")

    monkeypatch.setattr(run_module, "_trained", not_again)
    monkeypatch.setattr(run_module, "gap_of", not_again)
    again, shown = run_vae(images, SIZE, key=jax.random.key(0), folder=folder)
    assert dataclasses.replace(again, seconds=result.seconds) == result
    np.testing.assert_array_equal(shown.samples, pictures.samples)


def test_the_page_has_all_numbers(finished, tmp_path):
    _, found = finished
    pytest.importorskip("matplotlib")
    names = write_sheet(vae_sheet(*found), tmp_path, "amortis reproduce vae")
    assert sorted(names) == [*(f"vae-{i}.png" for i in range(1, 5)), "vae.json", "vae.md"]
    text = (tmp_path / "vae.md").read_text("utf8")
    for gap in found[0].gaps:
        assert f"On {gap.images} images." in text
        assert f"{gap.amortization.mean:.3f}" in text
    numbers = json.loads((tmp_path / "vae.json").read_text("utf8"))
    assert numbers["likelihood"]["mean"] == pytest.approx(found[0].likelihood.mean)


def _kept(finished, images):
    """The fit of the run, and the form of its decoder."""
    folder, (result, _) = finished
    network_key = jax.random.split(jax.random.key(0), 6)[0]
    network = run_module.image_decoder(SIZE.latent, SIZE.width, 16, network_key)
    (archive,) = folder.glob("fit-*.amortis")
    fitted = amortis.load(archive, run_module.image_model(network), images.training)
    assert fitted.parameters == result.parameters
    return fitted, network


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--schedule", "long"], "--schedule is 'long' for vae; expected short or full"),
        (["--seeds", "3"], "--seeds is given beside the experiment 'vae'"),
        (["--seed", "-1"], "--seed is -1"),
    ],
)
def test_options_without_a_meaning_are_refused(options, line, capsys, tmp_path):
    assert main(["reproduce", "vae", "--out", str(tmp_path), *options]) != 0
    assert line in capsys.readouterr().err


@pytest.mark.slow
def test_the_code_of_the_page_runs(monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf8"), re.M | re.S)
    assert len(blocks) >= 8
    # What takes minutes is made short; nothing else is changed.
    fit = amortis.fit
    monkeypatch.setattr(amortis, "fit", lambda *a, **k: fit(*a, optimiser=SHORTENED(), **k))
    few = amortis.ImportanceSampling(draws=20)
    monkeypatch.setattr(amortis, "ImportanceSampling", lambda *_, **__: few)
    path = amortis.AnnealedImportanceSampling(temperatures=2, chains=2, leapfrog=1)
    gap = functools.partial(
        amortis.inference_gap,
        rows=4,
        families=(amortis.DiagonalNormal(),),
        importance=few,
        annealed=path,
        draws=32,
    )
    monkeypatch.setattr(amortis, "inference_gap", lambda fitted, key: gap(fitted, key=key))
    x, x_new = bars(40, 2), bars(12, 3)
    gray = (x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)).astype(np.float32)
    levels = np.random.default_rng(1).integers(0, 4, x.shape)
    names = {"x": x, "x_new": x_new, "gray": gray, "levels": levels, "height": 4, "width": 4}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["images"].shape == (12, 16)
    found = names["test_likelihood"]
    assert len(found.rows) == 12


def _gaussian(network, x):
    decoder = eqx_module("decoder", network)
    scale = numpyro.param("scale", 1.0, constraint=constraints.positive)
    with numpyro.plate("images", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([1]).to_event(1))
        numpyro.sample("x", dist.Normal(jax.vmap(decoder)(z), scale).to_event(1), obs=x)


def _categorical(network, x):
    decoder = eqx_module("decoder", network)
    with numpyro.plate("images", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([1]).to_event(1))
        logits = jax.vmap(decoder)(z).reshape(-1, x.shape[1], 3)
        numpyro.sample("x", dist.Categorical(logits=logits).to_event(1), obs=x)


@pytest.fixture(scope="module")
def gaussian():
    """A linear decoder, of which maximum likelihood is probabilistic PCA."""
    drawn = np.random.default_rng(4)
    z, weight = drawn.standard_normal((300, 1)), np.asarray([[1.0, -2.0, 0.5, 1.5]])
    x = (z @ weight + 0.5 * drawn.standard_normal((300, 4))).astype(np.float32)
    network = eqx.nn.Linear(1, 4, key=jax.random.key(0))
    model = functools.partial(_gaussian, network)
    with jax.numpy_dtype_promotion("standard"):
        bound = amortis.from_numpyro(model, x)
        return x, amortis.fit(bound, key=jax.random.key(0), inference=amortis.Polynomial(1))


def test_a_learned_scale_is_that_of_probabilistic_pca(gaussian):
    x, fitted = gaussian
    # Tipping & Bishop (1999): the mean of the eigenvalues that are left out.
    variance = np.linalg.eigvalsh(np.cov(x.T, bias=True))[:-1].mean()
    np.testing.assert_allclose(fitted.params["scale"], np.sqrt(variance), rtol=5e-3)


def test_replicates_of_a_fit_with_estimates_have_the_variance_of_the_data(gaussian):
    x, fitted = gaussian
    drawn = amortis.predict(amortis.infer(fitted, x[:200]), key=jax.random.key(1), draws=200)["x"]
    assert drawn.shape == (200, 200, 4)
    # Given its own latent a datum is drawn with the learned scale, and z with its factor's sd.
    decoder = jax.tree.leaves(fitted.params["decoder$params"])
    weight = next(np.asarray(leaf) for leaf in decoder if leaf.ndim == 2)[:, 0]
    sd = np.asarray(fitted.local_moments()[1])[0, 0]
    wanted = fitted.params["scale"] ** 2 + (weight * sd) ** 2
    np.testing.assert_allclose(drawn.var(axis=0).mean(axis=0), wanted, rtol=0.05)
    log_x = amortis.log_likelihood(fitted, key=jax.random.key(2), draws=3)["x"]
    z = fitted.posterior(key=jax.random.key(2), draws=3)["z"]
    bias = next(np.asarray(leaf) for leaf in decoder if leaf.ndim == 1)
    law = dist.Normal(z @ weight[None] + bias, fitted.params["scale"])
    np.testing.assert_allclose(log_x, law.log_prob(x).sum(axis=-1), rtol=1e-4, atol=1e-4)


def test_numbers_and_reports_hold_estimates(gaussian, tmp_path):
    _, fitted = gaussian
    elbo = fitted.elbo(key=jax.random.key(0), draws=2)
    numbers = fit_numbers(fitted, elbo, fitted.moments(), 1.0)["globals"]
    assert numbers["scale"] == {"mean": pytest.approx(float(fitted.params["scale"])), "sd": 0.0}
    assert numbers["decoder/weight"]["sd"] == [[0.0]] * 4
    report(fitted, path=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf8")
    assert "decoder/weight[0,0]" in text and "scale" in text


def test_categories_of_integers_are_fitted_and_inferred():
    # Two kinds of images: the latent says which, and each pixel is right nine times out of ten.
    drawn = np.random.default_rng(5)
    kinds = np.asarray([[0, 1, 2, 1], [2, 2, 0, 0]])
    which = drawn.integers(2, size=200)
    x = np.where(drawn.random((200, 4)) < 0.9, kinds[which], drawn.integers(3, size=(200, 4)))
    network = eqx.nn.MLP(1, 12, 8, 1, jax.nn.elu, key=jax.random.key(0))
    model = functools.partial(_categorical, network)
    bound = amortis.from_numpyro(model, x)
    assert bound.inputs.shape == (200, 12)  # indicators, not numbers
    optimiser = amortis.ConstantRate(2e-2, iterations=200, batch=100)
    fitted = amortis.fit(
        bound, key=jax.random.key(0), inference=amortis.MLP(8), optimiser=optimiser
    )
    new = amortis.infer(fitted, kinds)
    apart = np.asarray(new.local_moments()[0])[:, 0]
    assert abs(apart[0] - apart[1]) > 1.0
    decoder = eqx.combine(fitted.params["decoder$params"], network)
    logits = jax.vmap(decoder)(new.local_moments()[0]).reshape(2, 4, 3)
    np.testing.assert_array_equal(jnp.argmax(logits, axis=-1), kinds)
    with pytest.raises(amortis.DataError, match=r"'x' \(Categorical.*\) observes 3"):
        amortis.from_numpyro(model, np.where(x == 2, 3, x))
