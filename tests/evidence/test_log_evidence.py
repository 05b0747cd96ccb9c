"""Log evidence by row beside its closed form: importance sampling, and along a path."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from amortis import (
    AnnealedImportanceSampling,
    ArgumentError,
    Conditional,
    Constant,
    FullRank,
    ImportanceSampling,
    LogEvidence,
    Point,
    Polynomial,
    fit,
    from_density,
    from_numpyro,
    infer,
    log_evidence,
)
from amortis.evidence import row_draws
from amortis.evidence.weighed import Weighed
from tests.evidence.linear_decoder import LinearDecoder
from tests.exact_models import ppca


@pytest.fixture(scope="module")
def exact():
    return LinearDecoder.example(40, 5, 3, scale=0.5)


@pytest.fixture(scope="module")
def fitted(exact):
    """Its function has the right means, its factors are the best diagonal ones."""
    return fit(exact.bound, key=jax.random.key(0), inference=Polynomial(1))


def test_importance_sampling_is_exact_within_its_error(exact, fitted, key):
    found = log_evidence(fitted, key=key, method=ImportanceSampling(5000))
    apart = found.rows - exact.log_evidence
    # Forty rows at 4.5 standard errors: false-failure rate 3e-4 less what skewness adds; seeded.
    assert (np.abs(apart) < 4.5 * found.row_ses).all()
    assert abs(apart.mean()) < 4.0 * found.mean.se < 0.04
    assert 0.6 < np.std(apart / found.row_ses) < 1.5
    # Of normals with one mean, precisions L of the posterior and D of q, E[w^2] / E[w]^2 is
    # |L| / sqrt(|D| |2L - D|), if 2L - D is positive definite; it is here.
    precision = exact.precision
    diagonal = np.diag(np.diag(precision))
    log_dets = [np.linalg.slogdet(m)[1] for m in (precision, diagonal, 2.0 * precision - diagonal)]
    share = np.exp(-(log_dets[0] - 0.5 * (log_dets[1] + log_dets[2])))
    np.testing.assert_allclose(found.effective.mean() / 5000, share, rtol=0.1)
    assert np.isnan(found.acceptance).all()


def test_a_path_is_exact_where_importance_sampling_is_not(key):
    """One factor for all rows, whose own gap is nats: its weights are those of a few draws."""
    exact = LinearDecoder.example(40, 5, 3)
    poor = fit(exact.bound, key=jax.random.key(0), inference=Constant())
    path = AnnealedImportanceSampling(temperatures=200, chains=16, leapfrog=4)
    found = log_evidence(poor, key=key, method=path)
    direct = log_evidence(poor, key=key, method=ImportanceSampling(5000))
    apart = found.rows - exact.log_evidence
    # False-failure rate 6e-5, but for the half of the squared errors that estimates are low.
    assert abs(apart.mean()) < 4.0 * found.mean.se < 0.1
    assert (direct.rows - exact.log_evidence).mean() < -0.1
    # Step lengths are led to the acceptance that is wanted, in every row.
    assert (np.abs(found.acceptance - 0.65) < 0.1).all()


def test_a_row_has_its_own_draws_whoever_else_is_asked_for(fitted, key, monkeypatch):
    whole = log_evidence(fitted, key=key, method=ImportanceSampling(40))
    some = log_evidence(fitted, key=key, method=ImportanceSampling(40), rows=[7, 3])
    np.testing.assert_allclose(some.rows, whole.rows[[7, 3]], rtol=1e-6)
    monkeypatch.setattr(row_draws, "BLOCK_NUMBERS", 16 * 5 * 12)  # blocks of twelve rows
    blocks = log_evidence(fitted, key=key, method=ImportanceSampling(40))
    np.testing.assert_allclose(blocks.rows, whole.rows, rtol=1e-6)
    np.testing.assert_array_equal(
        log_evidence(fitted, key=key, method=ImportanceSampling(2), rows=5).index,
        [0, 9, 19, 29, 39],
    )


def test_weights_say_what_their_definitions_say():
    log_w = np.random.default_rng(0).normal(size=(30, 2)) * 1.5 - 700.0
    found = Weighed.empty(2)
    found.put(np.arange(2), log_w)
    w = np.exp(log_w + 700.0)
    np.testing.assert_allclose(found.log_mean, logsumexp(log_w, axis=0) - np.log(30))
    np.testing.assert_allclose(found.ses, w.std(axis=0, ddof=1) / np.sqrt(30) / w.mean(axis=0))
    np.testing.assert_allclose(found.effective, w.sum(axis=0) ** 2 / (w**2).sum(axis=0))
    np.testing.assert_allclose(found.mean_log, log_w.mean(axis=0))


def test_point_estimates_and_new_data(key):
    """Probabilistic PCA at its maximum of the likelihood: log p(x | theta) of old and new rows."""
    x = ppca.example(60, 4, 2)
    bound = from_numpyro(ppca.model, x[:40].astype(np.float32), 2)
    fitted = fit(bound, key=key, inference=Polynomial(1), globals_=Point())
    theta = {name: np.asarray(mean, np.float64) for name, (mean, _) in fitted.moments().items()}
    for rows, some in ((x[:40], fitted), (x[40:], infer(fitted, x[40:].astype(np.float32), 2))):
        found = log_evidence(some, key=key, method=ImportanceSampling(500))
        wanted = ppca.log_likelihood(rows, theta["W"], theta["mu"], float(theta["s"]))
        np.testing.assert_allclose(found.total.mean, wanted, rtol=1e-5, atol=5e-3)


@pytest.mark.parametrize("locals_", [Conditional(), FullRank()])
def test_globals_with_a_density_are_held_at_its_mean(key, locals_):
    def model(x):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 10.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            numpyro.sample("x", dist.Normal(z, 2.0), obs=x)

    x = np.linspace(-2.0, 3.0, 12)
    fitted = fit(
        from_numpyro(model, x.astype(np.float32)),
        key=key,
        inference=Polynomial(1),
        locals_=locals_,
    )
    found = log_evidence(fitted, key=key, method=ImportanceSampling(200))
    mean = float(fitted.global_moments()[0][0])
    np.testing.assert_allclose(found.rows, norm.logpdf(x, mean, np.sqrt(5.0)), atol=2e-3)


def test_groups_have_an_evidence_each(key):
    group = np.repeat(np.arange(4), [3, 1, 5, 2])
    y = np.random.default_rng(0).normal(size=11)

    def model(y, group):
        with numpyro.plate("groups", 4):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    fitted = fit(from_numpyro(model, y.astype(np.float32), group), key=key)
    found = log_evidence(fitted, key=key, method=ImportanceSampling(100))
    for j in range(4):
        own = y[group == j]
        covariance = np.eye(len(own)) + 1.0
        wanted = -0.5 * (
            own @ np.linalg.solve(covariance, own) + np.linalg.slogdet(2 * np.pi * covariance)[1]
        )
        np.testing.assert_allclose(found.rows[j], wanted, atol=2e-3)


def test_the_record_reads_as_text_and_as_json(fitted, key):
    found = log_evidence(fitted, key=key, method=ImportanceSampling(50), rows=2)
    assert isinstance(found, LogEvidence)
    plain = found.to_dict()
    assert plain["method"] == "ImportanceSampling(draws=50)" and plain["rows"] == 2
    assert [row["row"] for row in plain["by_row"]] == [0, 39]
    assert "nats per datum on 2 rows" in str(found)
    np.testing.assert_allclose(found.total.mean, found.rows.sum())


def test_what_has_no_evidence_by_row_is_refused_in_one_line(fitted, key):
    alone = from_density(
        lambda theta: -0.5 * theta["u"] ** 2,
        lambda theta, z, row: -0.5 * (row - theta["u"]) ** 2,
        jnp.zeros(3),
        globals_={"u": ()},
        locals_={},
    )

    def walk(x):
        z = numpyro.sample("z", dist.GaussianRandomWalk(1.0, num_steps=x.shape[0]))
        numpyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    tied = fit(from_numpyro(walk, np.zeros(5, np.float32)), key=key)
    for given, message in (
        ({"fitted": fit(alone, key=key)}, "has no local latents"),
        ({"fitted": tied}, "cannot be evaluated apart"),
        ({"fitted": fitted, "rows": [40]}, "positions from 0 to 39"),
        ({"fitted": fitted, "rows": 0}, "rows is 0"),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            log_evidence(given.pop("fitted"), key=key, **given)
        assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match="expected at least 2"):
        ImportanceSampling(1)
    with pytest.raises(ArgumentError, match="chains is 0"):
        AnnealedImportanceSampling(chains=0)
