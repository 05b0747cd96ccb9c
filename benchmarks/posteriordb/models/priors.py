"""Two regressions with proper priors: few columns that are known well, and many collinear ones."""

import numpyro
import numpyro.distributions as dist


def blr(X, y):
    with numpyro.plate("columns", X.shape[1]):
        beta = numpyro.sample("beta", dist.Normal(0.0, 10.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(10.0))
    with numpyro.plate("rows", X.shape[0]):
        numpyro.sample("y", dist.Normal(X @ beta, sigma), obs=y)


def diamonds(X, Y):
    """As brms writes it: the intercept is that of the centered design."""
    means = X[:, 1:].mean(0)
    with numpyro.plate("columns", len(means)):
        b = numpyro.sample("b", dist.Normal(0.0, 1.0))
    intercept = numpyro.sample("Intercept", dist.StudentT(3.0, 8.0, 10.0))
    sigma = numpyro.sample("sigma", dist.FoldedDistribution(dist.StudentT(3.0, 0.0, 10.0)))
    numpyro.deterministic("b_Intercept", intercept - means @ b)
    with numpyro.plate("rows", X.shape[0]):
        numpyro.sample("Y", dist.Normal(intercept + (X[:, 1:] - means) @ b, sigma), obs=Y)
