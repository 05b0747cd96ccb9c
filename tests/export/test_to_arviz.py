"""The tree that ArviZ reads: its groups, what its axes are called, and that LOO on it is right."""

import sys

import arviz_stats
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from amortis import (
    ArgumentError,
    Constant,
    Polynomial,
    diagnose,
    fit,
    from_density,
    from_numpyro,
    infer,
    log_likelihood,
    predict,
    to_arviz,
)
from amortis._errors import MissingDependencyError
from tests.exact_models import linear
from tests.fitting.unfitted import unfitted

KEY = jax.random.key(8)
ROWS = 20


@pytest.fixture(scope="module")
def exact():
    return linear.example(ROWS, prior_sd=3.0)


@pytest.fixture(scope="module")
def fitted(exact):
    bound = from_numpyro(
        linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma, exact.prior_sd
    )
    return fit(bound, key=KEY, inference=Polynomial(1))


def houses(y, floor, county, scores, count):
    """Groups with two kinds of plates, vectors, an argument named like a plate, a derived site."""
    mean = numpyro.sample("mean", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    with numpyro.plate("county", count):
        a = numpyro.sample("a", dist.Normal(mean[0], 1.0))
        numpyro.deterministic("shifted", a + 1.0)
    with numpyro.plate("houses", y.shape[0]):
        numpyro.sample(
            "y", dist.Normal(a[county] + mean[1] * floor + 0.0 * scores.sum(), 0.7), obs=y
        )


@pytest.fixture(scope="module")
def grouped():
    generator = np.random.default_rng(0)
    county, floor = generator.integers(0, 5, 30), generator.normal(size=30).astype(np.float32)
    y = generator.normal(size=30).astype(np.float32)
    scores = np.ones((3, 2), np.float32)
    return unfitted(from_numpyro(houses, y, floor, county, scores, 5), Constant())


def test_the_tree_holds_what_the_verbs_return(fitted, exact):
    tree = to_arviz(fitted, key=KEY, draws=50)
    assert list(tree.children) == [
        "posterior",
        "posterior_predictive",
        "log_likelihood",
        "sample_stats",
        "observed_data",
        "constant_data",
    ]
    for site, value in fitted.posterior(key=KEY, draws=50).items():
        np.testing.assert_array_equal(tree.posterior[site].values[0], value)
    drawn, points = predict(fitted, key=KEY, draws=50), log_likelihood(fitted, key=KEY, draws=50)
    np.testing.assert_array_equal(tree.posterior_predictive["x"].values[0], drawn["x"])
    np.testing.assert_array_equal(tree.log_likelihood["x"].values[0], points["x"])
    np.testing.assert_allclose(tree.observed_data["x"], exact.x, rtol=1e-6)
    constants = {name: float(v) for name, v in tree.constant_data.data_vars.items()}
    assert constants == {"tau": exact.tau, "sigma": exact.sigma, "prior_sd": exact.prior_sd}
    assert {g.attrs["inference_library"] for g in tree.subtree} == {"amortis"}
    assert tree.attrs["inference_library_version"] and tree.attrs["created_at"]


def test_log_ratios_average_to_the_elbo(fitted, exact):
    tree = to_arviz(fitted, key=KEY, draws=2000, predictive=False)
    assert "posterior_predictive" not in tree.children
    ratio = (tree.sample_stats["lp"] - tree.sample_stats["lq"]).values
    assert ratio.shape == (1, 2000) and ratio.dtype == np.float64
    assert tree.attrs["elbo"] == pytest.approx(ratio.mean())
    # Five standard errors, p < 1e-6; and what the fit may be short of the optimum.
    assert abs(ratio.mean() - exact.elbo) < 5.0 * tree.attrs["elbo_se"] + 1e-3


def exact_loo(exact) -> np.ndarray:
    """log p(xₙ | x₋ₙ): θ given the others is normal, and xₙ has variance v around it."""
    found = []
    for n in range(exact.n):
        rest = np.delete(exact.x, n)
        precision = len(rest) / exact.v + exact.prior_precision
        mean = rest.sum() / exact.v / precision
        found.append(stats.norm(mean, np.sqrt(exact.v + 1.0 / precision)).logpdf(exact.x[n]))
    return np.asarray(found)


def test_loo_is_that_of_the_closed_form():
    """Runs give the standard error: t with one degree of freedom less, p < 1e-4 in all.

    elpd = log mean(u) - log mean(w) with u = p/q and w = u / p(x_n | .): the bias of either is half
    the relative variance of its weights over S, which is measured and allowed for twice.
    """
    x = linear.example(ROWS, prior_sd=3.0).x
    exact = linear.Linear(x, tau=0.8, sigma=2.4, prior_sd=3.0)
    bound = from_numpyro(linear.model, x.astype(np.float32), 0.8, 2.4, 3.0)
    fitted = fit(bound, key=KEY, inference=Polynomial(1))
    runs, bias, count = [], 0.0, 16
    for i in range(count):
        tree = to_arviz(fitted, key=jax.random.fold_in(KEY, i), draws=4000, predictive=False)
        log_p, log_q = tree.sample_stats["lp"], tree.sample_stats["lq"]
        loo = arviz_stats.loo_approximate_posterior(
            tree, log_p=log_p, log_q=log_q, var_name="x", pointwise=True
        )
        assert loo.pareto_k.dims == ("rows",)  # a k-hat above 0.7 would have been a warning
        runs.append(loo.elpd_i.values)
        log_u = (log_p - log_q).values[0]
        for log_w in (log_u[:, None] - tree.log_likelihood["x"].values[0]).T:
            for weight in (np.exp(log_u - log_u.max()), np.exp(log_w - log_w.max())):
                bias += weight.var() / weight.mean() ** 2 / 4000 / count
    total = np.sum(runs, axis=1)
    error = stats.t(count - 1).isf(0.5e-4) * total.std(ddof=1) / np.sqrt(count) + bias
    assert abs(total.mean() - exact_loo(exact).sum()) < error < 0.1
    # Data that were seen are more likely than data left out, by many times that error.
    seen = stats.norm(exact.theta[0] + exact.tau * exact.z[0], exact.sigma).logpdf(exact.x).sum()
    assert seen - exact_loo(exact).sum() > 10 * error


@pytest.mark.slow
def test_loo_of_informative_rows_is_reported_as_bad(key):
    """q(z) is 0.09 of the prior in variance, whose k is 1 - 0.09: as the docstring warns."""

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, 0.3), obs=x)

    x = np.random.default_rng(0).normal(size=30).astype(np.float32)
    tree = to_arviz(
        fit(from_numpyro(model, x), key=key, inference=Polynomial(1)), key=key, draws=4000
    )
    ratio = (tree.sample_stats["lp"] - tree.sample_stats["lq"]).values
    assert ratio.std() < 1e-2  # q is exact
    with pytest.warns(UserWarning, match="Estimated shape parameter of Pareto distribution"):
        loo = arviz_stats.loo_approximate_posterior(
            tree,
            log_p=tree.sample_stats["lp"],
            log_q=tree.sample_stats["lq"],
            var_name="x",
            pointwise=True,
        )
    assert float(loo.pareto_k.mean()) > 0.7


def test_arviz_summarizes_the_tree(fitted):
    tree = to_arviz(fitted, key=KEY, draws=1000)
    summary = arviz_stats.summary(tree, var_names=["theta"], kind="stats")
    mean, sd = fitted.moments()["theta"]
    # The summary is rounded to two digits; 5 s.e. of 1000 draws.
    assert abs(float(summary.loc["theta", "mean"]) - float(mean)) < 5 * sd / np.sqrt(1000) + 0.01
    assert arviz_stats.ess(tree, var_names=["theta"])["theta"].item() > 700


def test_plates_are_axes(grouped):
    tree = to_arviz(grouped, key=KEY, draws=3)
    dims = {
        name: {variable: value.dims for variable, value in group.data_vars.items()}
        for name, group in tree.children.items()
    }
    sample = ("chain", "draw")
    assert dims == {
        "posterior": {
            "mean": (*sample, "mean_dim_0"),
            "a": (*sample, "county"),
            "shifted": (*sample, "county"),
        },
        "posterior_predictive": {"y": (*sample, "houses")},
        "log_likelihood": {"y": (*sample, "houses")},
        "sample_stats": {"lp": sample, "lq": sample},
        "observed_data": {"y": ("houses",)},
        "constant_data": {
            "floor": ("houses",),
            "county_data": ("houses",),
            "scores": ("scores_dim_0", "scores_dim_1"),
            "count": (),
        },
    }


def test_labels_and_names_of_the_user(grouped):
    counties = ["Aitkin", "Anoka", "Becker", "Benton", "Brown"]
    tree = to_arviz(
        grouped,
        key=KEY,
        draws=3,
        coords={
            "county": counties,
            "coefficient": ["mean", "slope"],
            "houses": np.arange(100, 130),
        },
        dims={"mean": ["coefficient"], "scores": ["test", "part"]},
    )
    np.testing.assert_array_equal(tree.posterior["county"], counties)
    one = tree.posterior["a"].sel(county="Becker").values[0]
    np.testing.assert_array_equal(one, grouped.posterior(key=KEY, draws=3)["a"][:, 2])
    assert tree.posterior["mean"].dims == ("chain", "draw", "coefficient")
    for group in ("posterior_predictive", "log_likelihood", "observed_data"):
        assert tree[group]["y"].sel(houses=129).size in (1, 3)
    assert tree.constant_data["scores"].dims == ("test", "part")
    # All axes of a site may be named, those of plates too.
    again = to_arviz(grouped, key=KEY, draws=3, dims={"y": ["house"]})
    assert again.observed_data["y"].dims == ("house",)


def test_a_diagnosis_lies_along_the_plate(fitted):
    found = diagnose(fitted, key=KEY, draws=16)
    tree = to_arviz(fitted, key=KEY, draws=3, diagnosis=found)
    assert tree.diagnosis["pareto_k"].dims == ("rows",)
    np.testing.assert_array_equal(tree.diagnosis["pareto_k"], found.row_k)
    np.testing.assert_array_equal(tree.diagnosis["gap"], found.row_gaps)
    assert tree.diagnosis.attrs["global_k"] == found.global_k
    assert tree.diagnosis.attrs["total_gap"] == found.gap.mean


def test_new_data_through_infer(fitted, exact):
    new = np.asarray([-1.0, 4.0, 2.0], np.float32)
    post = infer(fitted, new, exact.tau, exact.sigma, exact.prior_sd)
    tree = to_arviz(post, key=KEY, draws=4, coords={"rows": ["a", "b", "c"]})
    np.testing.assert_array_equal(tree.observed_data["x"], new)
    assert dict(tree.log_likelihood["x"].sizes) == {"chain": 1, "draw": 4, "rows": 3}
    refused(post, "diagnosis is of 20 data but the fit has 3", diagnosis=diagnose(fitted, key=KEY))


@pytest.mark.usefixtures("standard_promotion")
def test_unplated_rows_and_scoped_names(key):
    def model(x):
        with numpyro.handlers.scope(prefix="part"):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([x.shape[0]]))
        numpyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    bound = from_numpyro(model, np.arange(6.0, dtype=np.float32))
    tree = to_arviz(unfitted(bound, Constant()), key=key, draws=3)
    assert tree.posterior["part.z"].dims == ("chain", "draw", "part.z_dim_0")
    assert tree.log_likelihood["x"].dims == ("chain", "draw", "x_dim_0")
    assert tree.observed_data["x"].dims == ("x_dim_0",)


def test_a_model_by_hand_has_draws_and_no_predictions(key):
    bound = from_density(
        lambda theta: -0.5 * theta["mu"] ** 2,
        lambda theta, z, x: -0.5 * (z["z"] - theta["mu"]) ** 2 - 0.5 * (x["a"] - z["z"]) ** 2,
        {"a": np.arange(5.0)},
        globals_={"mu": ()},
        locals_={"z": ()},
    )
    tree = to_arviz(unfitted(bound, Constant()), key=key, draws=4)
    assert list(tree.children) == ["posterior", "sample_stats", "constant_data"]
    assert tree.posterior["z"].dims == ("chain", "draw", "rows")
    assert tree.constant_data["data_a"].dims == ("rows",)


def refused(fitted, words: str, **asked) -> None:
    with pytest.raises(ArgumentError) as caught:
        to_arviz(fitted, **{"key": KEY, "draws": 2, **asked})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_does_not_fit_is_refused_in_one_line(fitted, grouped, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    refused(fitted, "draws is 0; expected at least 1", draws=0)
    refused(fitted, "ask for draws=4098360 or fewer, or for predictive=False", draws=10_000_000)
    refused(fitted, "expected one random key", key=0)
    refused(3, "expected an object such as amortis.fit(model, key=key)")
    refused(fitted, "labels of shape (2,) for 'rows'; expected (20,)", coords={"rows": [1, 2]})
    refused(fitted, "labels for 'row'; expected one of the axes rows", coords={"row": [1, 2]})
    refused(fitted, "coords is [1]; expected an object such as", coords=[1])
    refused(fitted, "dims names 'w'; expected one of theta, z, x", dims={"w": ["a"]})
    refused(fitted, "dims has 2 names for 'z', an array of 1 axes", dims={"z": ["a", "b"]})
    refused(fitted, "dims has 'a' for 'z'", dims={"z": "a"})
    refused(fitted, "the axes of 'z' are called draw; expected", dims={"z": ["draw"]})
    refused(fitted, "an axis and a variable are both called 'x'", dims={"z": ["x"]})
    refused(grouped, "'county' has length 30 at 'y' and 5 elsewhere", dims={"y": ["county"]})
    refused(fitted, "diagnosis is 3; expected an object such as", diagnosis=3)


def test_without_arviz_there_is_a_hint(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "amortis\[arviz\]"') as caught:
        to_arviz(fitted, key=KEY, draws=2)
    assert "\n" not in str(caught.value)
