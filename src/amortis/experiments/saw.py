"""The paper's saw-shaped time series: what one row cannot tell, two neighbouring rows can."""

import dataclasses
import importlib.util
import math

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

import amortis
from amortis.experiments.comparison import Setting

ALPHA, THETA = 0.75, 3.4159
ALONE, WIDTHS = (4, 10, 20), (2, 4, 6, 10)
"""Widths of the networks that read x_n alone, and of those that read (x_{n-1}, x_n)."""


@dataclasses.dataclass(frozen=True)
class ExactSaw:
    r"""Optimum of the factorized Gaussian family, in closed form.

    With $v = 1 + \alpha^2$, $r_n = x_n - \alpha x_{n-1}$ and prior precision $\lambda$ of θ (0 if
    flat): $\hat\theta = \frac{\alpha\sum r_n/v}{N\alpha^2/v + \lambda}$,
    $q^*(z_n) = N((x_{n-1} + \alpha x_n - \alpha^2\hat\theta)/v, 1/v)$,
    $q^*(\theta) = N(\hat\theta, 1/(N\alpha^2 + \lambda))$.

    Attributes:
        elbo: evidence less the gap $\tfrac12\log\frac{N\alpha^2+\lambda}{N\alpha^2/v+\lambda}$,
            nats total; for a flat prior the gap is $\tfrac12\log v$ whatever N.
        evidence: the log evidence, nats total; $x_n\mid x_{n-1},\theta\sim N(\alpha(\theta +
            x_{n-1}), v)$.
        constant_elbo: the same for the constant factor, lower by $\tfrac v2\sum_n(m_n - \bar m)^2$,
            $m_n$ being the means of $q^*(z_n)$.
        alone_elbo: the same for means that are linear in x_n alone, lower by $\tfrac v2$ times the
            residual sum of squares.
        theta_mean: mean of $q^*(\theta)$.
        theta_sd: sd of $q^*(\theta)$.
        z_mean: means of $q^*(z_n)$, shape (N,).
        z_sd: their common sd.

    References:
        Margossian & Blei (2024), §5.3; re-derived.
    """

    elbo: float
    evidence: float
    constant_elbo: float
    alone_elbo: float
    theta_mean: float
    theta_sd: float
    z_mean: Float[np.ndarray, " n"]
    z_sd: float


def model(x: Float[Array, " n"], flat: bool = False) -> None:
    r"""$z_n\sim N(x_{n-1}, 1)$; $x_n\sim N(\alpha(\theta + z_n), 1)$; $x_0 = 0$ is known.

    Args:
        x: observations $x_1,\dots,x_N$, shape (N,).
        flat: whether θ is flat, as in the authors' code, or $N(0, 1)$, as in the paper.
    """
    real = dist.constraints.real
    prior = dist.ImproperUniform(real, (), ()) if flat else dist.Normal(0.0, 1.0)
    theta = numpyro.sample("theta", prior)
    before = jnp.concatenate([jnp.zeros(1, x.dtype), x[:-1]])
    with numpyro.plate("steps", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(before, 1.0))
        numpyro.sample("x", dist.Normal(ALPHA * (theta + z), 1.0), obs=x)


def simulate(setting: Setting, size: int, seed: int) -> Float[np.ndarray, " n"]:
    r"""Data from the model as stated, or as the code draws them (from x_{n-1} in place of z_n).

    As the code has them, and with PyTorch installed and N = 1000, the authors' own data are
    regenerated from their seed; otherwise NumPy draws from the same law.

    Args:
        setting: which law.
        size: number of steps N.
        seed: seed of NumPy's generator.

    Returns:
        $x_1,\dots,x_N$.
    """
    if setting is Setting.CODE and size == 1000:
        authors = _authors_data(size)
        if authors is not None:
            return authors
    generator = np.random.default_rng(seed)
    theta = THETA if setting is Setting.CODE else generator.normal()
    sd = 1.0 if setting is Setting.CODE else math.sqrt(1.0 + ALPHA**2)
    x = np.zeros(size + 1)
    for n, noise in enumerate(generator.normal(scale=sd, size=size)):
        x[n + 1] = ALPHA * (theta + x[n]) + noise
    return x[1:]


def has_authors_data(size: int) -> bool:
    """Whether `simulate` gives the authors' own data at this size: PyTorch draws them."""
    return size == 1000 and importlib.util.find_spec("torch") is not None


def _authors_data(size: int) -> Float[np.ndarray, " n"] | None:
    try:
        import torch  # pyright: ignore
    except ImportError:
        return None
    state = torch.get_rng_state()
    torch.manual_seed(2012)
    x = torch.zeros(size + 1)
    for n in range(size):
        torch.randn(1)  # their z_n, which their x_{n+1} does not use
        x[n + 1] = torch.randn(1)[0] + ALPHA * (THETA + x[n])
    torch.set_rng_state(state)
    return np.asarray(x[1:].numpy(), np.float64)


def exact(x: Float[np.ndarray, " n"], flat: bool) -> ExactSaw:
    """The closed form for given data; see `ExactSaw`."""
    size, v, before = len(x), 1.0 + ALPHA**2, np.append(0.0, x[:-1])
    r, precision = x - ALPHA * before, 0.0 if flat else 1.0
    linear = ALPHA * float(r.sum()) / v
    marginal, conditional = size * ALPHA**2 / v + precision, size * ALPHA**2 + precision
    evidence = -0.5 * size * math.log(2 * math.pi * v) - 0.5 * float(r @ r) / v
    evidence += 0.5 * linear**2 / marginal - 0.5 * math.log(marginal)
    evidence += 0.5 * math.log(2 * math.pi) if flat else 0.0
    elbo = evidence - 0.5 * math.log(conditional / marginal)
    theta = linear / marginal
    mean = (before + ALPHA * x - ALPHA**2 * theta) / v
    spread = float(np.square(mean - mean.mean()).sum())
    cross = float((mean - mean.mean()) @ (x - x.mean()))
    explained = cross**2 / float(np.square(x - x.mean()).sum())
    return ExactSaw(
        elbo=elbo,
        evidence=evidence,
        constant_elbo=elbo - 0.5 * v * spread,
        alone_elbo=elbo - 0.5 * v * (spread - explained),
        theta_mean=theta,
        theta_sd=1.0 / math.sqrt(conditional),
        z_mean=mean,
        z_sd=1.0 / math.sqrt(v),
    )


def exact_elbo(fit: amortis.Fit, x: Float[np.ndarray, " n"], flat: bool) -> float:
    r"""ELBO of any factorized Gaussian for this model, without sampling, nats total.

    $E_q[\log p]$ is quadratic: squared errors of the means plus
    $s_n^2 + \alpha^2(s_n^2 + s_\theta^2)$.

    Args:
        fit: a fit of the saw model.
        x: its data.
        flat: whether θ is flat.
    """
    (theta, theta_sd), (z, z_sd) = fit.global_moments(), fit.local_moments()
    m, s = float(theta[0]), float(theta_sd[0])
    mean, sd = np.asarray(z, np.float64)[:, 0], np.asarray(z_sd, np.float64)[:, 0]
    prior = np.square(mean - np.append(0.0, x[:-1])) + np.square(sd)
    error = np.square(x - ALPHA * (m + mean)) + ALPHA**2 * (np.square(sd) + s**2)
    log_joint = float(-0.5 * (prior + error).sum()) - len(x) * math.log(2 * math.pi)
    log_joint += 0.0 if flat else -0.5 * (m**2 + s**2) - 0.5 * math.log(2 * math.pi)
    entropies = (len(x) + 1) * 0.5 * math.log(2 * math.pi * math.e)
    return log_joint + entropies + math.log(s) + float(np.log(sd).sum())
