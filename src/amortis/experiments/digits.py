"""Scikit-learn's digits by probabilistic PCA, beside Tipping & Bishop's closed form."""

import dataclasses
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

import amortis
from amortis._errors import MissingDependencyError
from amortis._types import RandomKey
from amortis.experiments.comparison import MonitorFor

LATENTS = 8
"""Dimensions of the latent code."""


@dataclasses.dataclass(frozen=True)
class ExactPCA:
    r"""Maximum likelihood of probabilistic PCA, in closed form.

    With eigenvalues $\lambda_1\ge\dots\ge\lambda_D$ of the sample covariance,
    $\hat\sigma^2 = \frac{1}{D-K}\sum_{j>K}\lambda_j$ and $\hat W\hat W^\top + \hat\sigma^2 I$ keeps
    the first K eigenvalues; the posterior of a code is $N(M^{-1}W^\top(x-\mu), \sigma^2 M^{-1})$,
    $M = W^\top W + \sigma^2 I$, which is diagonal for orthogonal columns of W.

    Attributes:
        log_likelihood: $\log p(x\mid\hat W,\hat\mu,\hat\sigma)$ in nats, total.
        noise_sd: $\hat\sigma$.
        covariance: $\hat W\hat W^\top + \hat\sigma^2 I$, shape (D, D).
        reconstruction: posterior mean image of each datum, shape (N, D).

    References:
        Tipping & Bishop, *Probabilistic Principal Component Analysis* (1999).
    """

    log_likelihood: float
    noise_sd: float
    covariance: Float[np.ndarray, "d d"]
    reconstruction: Float[np.ndarray, "n d"]


@dataclasses.dataclass(frozen=True)
class DigitsFit:
    """One inference function's fit of the digits.

    Attributes:
        name: what the inference function is.
        fit: the fit.
        elbo: its ELBO on fresh draws, nats total.
        exact_elbo: its ELBO in closed form, nats total.
        noise_sd: fitted noise sd.
        covariance_error: Frobenius distance of the fitted covariance to the exact one, relative.
        reconstruction: fitted posterior mean image of each datum.
        seconds: wall time, compilation included.
    """

    name: str
    fit: amortis.Fit
    elbo: amortis.Estimate
    exact_elbo: float
    noise_sd: float
    covariance_error: float
    reconstruction: Float[np.ndarray, "n d"]
    seconds: float


@dataclasses.dataclass(frozen=True)
class DigitsResult:
    """Constant, F-VI and A-VI side by side, with the closed form.

    Attributes:
        images: the data, shape (N, 64), in [0, 1].
        exact: the closed form.
        fits: the three fits.
    """

    images: Float[np.ndarray, "n d"]
    exact: ExactPCA
    fits: tuple[DigitsFit, ...]


def ppca(x: Float[Array, "n d"]) -> None:
    r"""Probabilistic PCA: $z_n\sim N(0, I)$, $x_n\sim N(Wz_n + \mu, \sigma^2 I)$, flat globals."""
    columns = x.shape[1]
    real, positive = dist.constraints.real, dist.constraints.positive
    loadings = numpyro.sample("W", dist.ImproperUniform(real, (), (columns, LATENTS)))
    mean = numpyro.sample("mu", dist.ImproperUniform(real, (), (columns,)))
    noise_sd = numpyro.sample("sigma", dist.ImproperUniform(positive, (), ()))
    with numpyro.plate("images", x.shape[0]):
        code = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([LATENTS]).to_event(1))
        center = jnp.asarray(code) @ jnp.asarray(loadings).T + mean
        pixels = dist.Normal(center, noise_sd).to_event(1)
        numpyro.sample("x", pixels, obs=x)


def images() -> Float[np.ndarray, "n d"]:
    """The 1797 digits of scikit-learn, 8 by 8 pixels in [0, 1], one per row.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # pyright: ignore
    except ImportError as error:
        raise MissingDependencyError(
            "the digits come with scikit-learn, which is not installed; expected the examples "
            'extra: pip install "amortis[examples]"'
        ) from error
    return np.asarray(load_digits().data, np.float64) / 16.0  # pyright: ignore


def exact_pca(x: Float[np.ndarray, "n d"], latents: int) -> ExactPCA:
    """Maximum likelihood of probabilistic PCA; see `ExactPCA`.

    Args:
        x: data, shape (N, D), any real numbers.
        latents: number of latent dimensions K, below D.

    Returns:
        The closed form.
    """
    rows, columns = x.shape
    mean = x.mean(axis=0)
    centered = x - mean
    values, vectors = np.linalg.eigh(centered.T @ centered / rows)
    values, vectors = values[::-1], vectors[:, ::-1]
    variance = float(values[latents:].mean())
    kept = np.concatenate([values[:latents], np.full(columns - latents, variance)])
    log_likelihood = (
        -0.5 * rows * float(columns * math.log(2 * math.pi) + np.log(kept).sum() + columns)
    )
    top = vectors[:, :latents]
    shrink = 1.0 - variance / values[:latents]
    return ExactPCA(
        log_likelihood=log_likelihood,
        noise_sd=math.sqrt(variance),
        covariance=(vectors * kept) @ vectors.T,
        reconstruction=mean + (centered @ top * shrink) @ top.T,
    )


def run(*, key: RandomKey, monitor_for: MonitorFor | None = None) -> DigitsResult:
    """Fit the digits by constant, F-VI and A-VI with a linear function, all else equal.

    Args:
        key: random key.
        monitor_for: makes a monitor for each fit by its name.

    Returns:
        The fits beside the closed form.
    """
    x = images()
    exact = exact_pca(x, LATENTS)
    model = amortis.from_numpyro(ppca, x)
    functions = {
        "constant": amortis.Constant(),
        "F-VI": amortis.Table(),
        "A-VI, linear": amortis.Polynomial(1),
    }
    fits = [
        fit_digits(model, exact, name, function, key, monitor_for)
        for name, function in functions.items()
    ]
    return DigitsResult(x, exact, tuple(fits))


def fit_digits(
    model: amortis.LatentModel,
    exact: ExactPCA,
    name: str,
    function: amortis.Constant | amortis.Table | amortis.Polynomial,
    key: RandomKey,
    monitor_for: MonitorFor | None = None,
) -> DigitsFit:
    """Fit one inference function with point estimates for the globals, and compare."""
    fit_key, elbo_key = jax.random.split(key)
    started = time.perf_counter()
    fit = amortis.fit(
        model,
        key=fit_key,
        inference=function,
        globals_=amortis.Point(),
        monitor=None if monitor_for is None else monitor_for(name),
    )
    seconds = time.perf_counter() - started
    values = {site: np.asarray(mean, np.float64) for site, (mean, _) in fit.moments().items()}
    covariance = values["W"] @ values["W"].T + values["sigma"] ** 2 * np.eye(len(values["mu"]))
    distance = np.linalg.norm(covariance - exact.covariance) / np.linalg.norm(exact.covariance)
    return DigitsFit(
        name=name,
        fit=fit,
        elbo=fit.elbo(key=elbo_key, draws=64),
        exact_elbo=exact_elbo(fit, model.inputs),
        noise_sd=float(values["sigma"]),
        covariance_error=float(distance),
        reconstruction=values["z"] @ values["W"].T + values["mu"],
        seconds=seconds,
    )


def exact_elbo(fit: amortis.Fit, x: Array | Float[np.ndarray, "n d"]) -> float:
    r"""ELBO of a fit of `ppca` with point estimates, in closed form, nats total.

    $E\|x - Wz - \mu\|^2 = \|x - Wm - \mu\|^2 + \sum_k s_k^2\|W_{\cdot k}\|^2$ for codes with
    means m and sds s; the rest of the log joint and the entropy are as simple.

    Args:
        fit: the fit.
        x: its images, shape (N, D).

    Returns:
        The ELBO.
    """
    data = np.asarray(x, np.float64)
    values = {site: np.asarray(mean, np.float64) for site, (mean, _) in fit.moments().items()}
    w, mu, sigma = values["W"], values["mu"], float(values["sigma"])
    mean, sd = (np.asarray(part, np.float64) for part in fit.local_moments())
    squares = np.square(data - mean @ w.T - mu).sum()
    squares += (np.square(sd) @ np.square(w).sum(axis=0)).sum()
    log_likelihood = -0.5 * squares / sigma**2
    log_likelihood -= data.size * math.log(sigma * math.sqrt(2 * math.pi))
    # E[log N(z; 0, 1)] + H[q] = -(m^2 + s^2) / 2 + log s + 1/2 in each coordinate.
    codes = (-0.5 * (np.square(mean) + np.square(sd)) + np.log(sd) + 0.5).sum()
    return float(log_likelihood + codes)
