"""Any number of new rows: the same as `infer` gives, block by block; rows flagged and refined."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    ArgumentError,
    Constant,
    DataError,
    Missing,
    Outside,
    Polynomial,
    SetNetwork,
    Table,
    Trained,
    fit,
    from_density,
    from_numpyro,
    infer,
    refine,
    stream,
)
from amortis.diagnostics import serving
from tests.exact_models import linear

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def exact():
    return linear.example(100)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


@pytest.fixture(scope="module")
def fitted(bound):
    return fit(bound, key=KEY, inference=Polynomial(1))


@pytest.fixture(scope="module")
def rough(bound):
    return fit(bound, key=KEY, inference=Constant())


@pytest.fixture(scope="module")
def plain(exact):
    return {"tau": exact.tau, "sigma": exact.sigma}


def joined(blocks, part, site="z"):
    return np.concatenate([getattr(block, part)[site] for block in blocks])


def test_blocks_of_any_size_give_what_infer_gives(fitted, exact, plain):
    new = np.linspace(-9.0, 9.0, 53).astype(np.float32)
    cut = ({"x": part, **plain} for part in np.split(new, [20, 21, 45]))
    found = list(stream(fitted, cut, rows=16))
    assert [block.start for block in found] == [0, 16, 20, 21, 37, 45]
    assert [block.size for block in found] == [16, 4, 1, 16, 8, 8]
    assert found[0].k is None and found[0].outside is None
    whole = infer(fitted, new, exact.tau, exact.sigma).moments()["z"]
    np.testing.assert_allclose(joined(found, "mean"), whole[0], atol=1e-5)
    np.testing.assert_allclose(joined(found, "sd"), whole[1], rtol=1e-4)


def test_one_memory_mapped_array_is_cut_and_compiles_once(fitted, plain, tmp_path, monkeypatch):
    new = np.random.default_rng(0).normal(size=2000)
    np.save(tmp_path / "x.npy", new)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    compiled: list[int] = []

    def counted(guide, raw):
        compiled.append(raw.shape[0])
        return jax.vmap(guide.local_family.moments)(raw)

    monkeypatch.setattr(serving, "_local_moments", jax.jit(counted))
    found = list(stream(fitted, {"x": mapped, **plain}, rows=300))
    assert len(found) == 7 and compiled == [300]
    again = joined(list(stream(fitted, [{"x": new, **plain}], rows=2000)), "mean")
    np.testing.assert_allclose(joined(found, "mean"), again, atol=1e-6)


def test_rows_with_nan_are_refused_or_nan_and_said(fitted, exact, plain):
    new = np.linspace(-9.0, 9.0, 40)
    bad = new.copy()
    bad[[3, 17, 38]] = np.nan, np.inf, np.nan
    with pytest.raises(DataError, match=r"infinite in rows 3, 17; .*Missing.NAN") as caught:
        list(stream(fitted, {"x": bad, **plain}, rows=30))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"nan first in row 3 .*amortis.stream"):
        infer(fitted, bad, exact.tau, exact.sigma)
    options = {"rows": 30, "key": KEY, "outside": Outside.FLAGGED}
    found = list(stream(fitted, {"x": bad, **plain}, missing=Missing.NAN, **options))
    missing = np.concatenate([block.missing for block in found])
    assert np.flatnonzero(missing).tolist() == [3, 17, 38]
    mean = joined(found, "mean")
    assert np.isnan(mean[missing]).all() and np.isnan(joined(found, "sd")[missing]).all()
    expected = infer(fitted, new, exact.tau, exact.sigma).moments()["z"][0]
    np.testing.assert_allclose(mean[~missing], expected[~missing], atol=1e-5)
    k, outside = (np.concatenate([getattr(b, n) for b in found]) for n in ("k", "outside"))
    assert np.isnan(k[missing]).all() and not outside.any() and np.isfinite(k[~missing]).all()


def test_a_block_of_missing_rows_alone(fitted, plain):
    (found,) = stream(fitted, {"x": np.full(3, np.nan), **plain}, missing=Missing.NAN)
    assert found.missing.all() and np.isnan(found.mean["z"]).all()


def test_rows_out_of_reach_are_flagged_and_refined_to_their_own_optimum(rough, exact, plain):
    new = np.asarray([1.5, 40.0, 0.0, -35.0, 3.0], np.float32)
    (flagged,) = stream(rough, {"x": new, **plain}, key=KEY, outside=Outside.FLAGGED)
    assert flagged.outside.tolist() == [False, True, False, True, False]
    assert not flagged.refined.any()
    (refined,) = stream(rough, {"x": new, **plain}, key=KEY, outside=Outside.REFINED)
    assert refined.refined.tolist() == flagged.outside.tolist()
    assert not refined.outside.any() and (refined.k[[1, 3]] < 0.7).all()
    own = exact.tau * (new - float(rough.moments()["theta"][0])) / exact.v
    np.testing.assert_allclose(refined.mean["z"][[1, 3]], own[[1, 3]], atol=5e-3)
    kept = [0, 2, 4]
    np.testing.assert_array_equal(refined.mean["z"][kept], flagged.mean["z"][kept])
    np.testing.assert_array_equal(refined.k[kept], flagged.k[kept])
    everyone = refine(infer(rough, new, exact.tau, exact.sigma), key=KEY).moments()["z"][0]
    np.testing.assert_allclose(refined.mean["z"][[1, 3]], everyone[np.asarray([1, 3])], atol=5e-3)
    assert repr(refined) == "InferredBlock(rows 0 to 4, 2 refined)"


def test_a_row_at_odds_with_the_globals_is_outside_after_refining_too(rough, fitted, plain):
    # log p(x | theta) varies by |x - theta| sd(theta) / v = 4 nats over q(theta), whatever q(z) is.
    new = np.asarray([120.0], np.float32)
    for fit_ in (rough, fitted):
        (found,) = stream(fit_, {"x": new, **plain}, key=KEY, outside=Outside.REFINED)
        assert found.refined.all() and found.outside.all()


def test_constrained_sites_vectors_and_deterministic_sites_have_rows_first(key):
    def model(x):
        scale = numpyro.sample("scale", dist.HalfNormal(2.0))
        with numpyro.plate("rows", x.shape[0]):
            rate = numpyro.sample("rate", dist.LogNormal(jnp.zeros(3), 1.0).to_event(1))
            numpyro.deterministic("total", jnp.sum(rate, axis=-1))
            numpyro.sample("x", dist.Normal(rate, scale).to_event(1), obs=x)

    x = np.exp(np.random.default_rng(0).normal(size=(40, 3))).astype(np.float32)
    fitted = fit(from_numpyro(model, x), key=key, inference=Polynomial(1))
    found = list(stream(fitted, [(x,)], rows=25))
    whole = infer(fitted, x).moments()
    for name, shape in (("rate", (40, 3)), ("total", (40,))):
        assert joined(found, "mean", name).shape == shape
        for part, expected in zip(("mean", "sd"), whole[name], strict=True):
            np.testing.assert_allclose(joined(found, part, name), expected, rtol=2e-3)
    assert set(found[0].mean) == {"rate", "total"}


def test_groups_come_whole_in_each_block(key):
    def model(y, group, groups):
        with numpyro.plate("groups", groups):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    generator = np.random.default_rng(0)
    group = generator.integers(0, 20, 120)
    y = (generator.normal(size=20)[group] + generator.normal(size=120)).astype(np.float32)
    fitted = fit(from_numpyro(model, y, group, 20), key=key, inference=SetNetwork(width=0))
    blocks = [
        (np.asarray([1.0, 2.0, -1.0], np.float32), np.asarray([0, 0, 2]), 4),
        (np.asarray([2.0, 4.0], np.float32), np.asarray([0, 0]), 1),
    ]
    found = list(stream(fitted, blocks, key=key, outside=Outside.FLAGGED))
    assert [block.start for block in found] == [0, 4]
    np.testing.assert_allclose(joined(found, "mean"), [1.0, 0.0, -0.5, 0.0, 2.0], atol=5e-3)
    assert not any(block.outside.any() for block in found)
    with pytest.raises(ArgumentError, match="read several rows"):
        stream(fitted, blocks, missing=Missing.NAN)


def test_densities_by_hand_are_streamed(key):
    def bind(x):
        return from_density(
            lambda theta: -0.5 * theta["mu"] ** 2,
            lambda theta, z, row: (
                -0.5 * (z["z"] - theta["mu"]) ** 2 - 0.5 * (row["x"] - z["z"]) ** 2
            ),
            {"x": x},
            globals_={"mu": ()},
            locals_={"z": ()},
        )

    x = np.random.default_rng(0).normal(size=50).astype(np.float32)
    fitted = fit(bind(x), key=key, inference=Polynomial(1))
    found = list(stream(fitted, [({"x": np.arange(7)},)], rows=4))
    mu = float(fitted.moments()["mu"][0])
    np.testing.assert_allclose(joined(found, "mean"), 0.5 * (np.arange(7) + mu), atol=2e-3)
    with pytest.raises(DataError, match="expected one, the data as from_density takes them"):
        infer(fitted, x, x)


def test_a_number_that_the_function_does_not_read_may_not_change(fitted, exact):
    x = np.zeros(4, np.float32)
    blocks = [(x, exact.tau, exact.sigma), (x, exact.tau, 2.0 * exact.sigma)]
    served = stream(fitted, blocks, key=KEY, outside=Outside.FLAGGED)
    assert (next(served).k < 0.5).all()
    message = "sigma is 4.86, but was 2.43 when the model was fitted, and the function does not"
    with pytest.raises(DataError, match=message):
        next(served)
    with pytest.raises(DataError, match=message):
        infer(fitted, x, exact.tau, np.float64(4.86))
    infer(fitted, x, exact.tau, np.float32(exact.sigma))  # the same number of another type


@pytest.mark.parametrize(
    ("blocks", "options", "error", "words"),
    [
        (3, {}, ArgumentError, "blocks are 3; expected an iterable"),
        ([3], {}, ArgumentError, "a block is 3; expected a tuple"),
        ([{"y": np.ones(3)}], {}, DataError, "the new data have no 'x'"),
        ([(np.ones(3),)], {}, DataError, "the new data have no 'tau', which was 1.155"),
        ([(np.ones((3, 2)), 1.155, 2.43)], {}, DataError, r"\(3, 2\); expected shape \(rows,\)"),
        ([(np.ones(0), 1.155, 2.43)], {}, DataError, "a block has no rows"),
        ([np.ones(3)], {"outside": Outside.FLAGGED}, ArgumentError, "there is no key"),
        ([np.ones(3)], {"rows": 0}, ArgumentError, "rows is 0"),
    ],
)
def test_what_cannot_be_streamed_is_refused_in_one_line(fitted, blocks, options, error, words):
    with pytest.raises(error, match=words) as caught:
        list(stream(fitted, blocks, **options))
    assert "\n" not in str(caught.value)


def test_tables_have_nothing_to_stream(bound):
    table = fit(bound, key=KEY, inference=Table())
    with pytest.raises(ArgumentError, match="no function for new data"):
        stream(table, [np.ones(3)])


def test_what_was_loaded_streams_as_the_fit_does(fitted, exact, plain):
    new = np.linspace(-9.0, 9.0, 20).astype(np.float32)
    new[[3, 11]] = np.nan
    given = {"key": KEY, "outside": Outside.FLAGGED, "missing": Missing.NAN, "rows": 8}
    trained = Trained.of(fitted)
    for old, now in zip(
        stream(fitted, {"x": new, **plain}, **given),
        stream(trained, {"x": new, **plain}, **given),
        strict=True,
    ):
        np.testing.assert_array_equal(now.mean["z"], old.mean["z"])
        np.testing.assert_array_equal(now.k, old.k)
        np.testing.assert_array_equal(now.missing, old.missing)


def test_a_piece_without_a_finite_row_is_all_missing(fitted, plain):
    x = np.full(4, np.nan, np.float32)
    for given in (fitted, Trained.of(fitted)):
        (block,) = stream(given, {"x": x, **plain}, missing=Missing.NAN)
        assert block.missing.all() and np.isnan(block.mean["z"]).all()
