"""The paper's nonlinear model: widths of a network against constant and factorized VI."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

import amortis
from amortis.experiments.comparison import Setting

WIDTHS = (1, 2, 4, 8, 16, 24, 32)

_GRID, _REACH = 241, 7.5
"""Points of the trapezoidal rule over each row's z, and the sds to both sides that they span."""


@dataclasses.dataclass(frozen=True)
class NonlinearData:
    """Simulated data.

    Attributes:
        x: observations, shape (N,).
        authors: whether they are the authors' own, regenerated with PyTorch from their seed.
    """

    x: Float[np.ndarray, " n"]
    authors: bool


def location(theta: Array | float, z: Array) -> Array:
    r"""Mean of an observation, $\theta + z + z\sin z$."""
    return theta + z + z * jnp.sin(z)


def model(x: Float[Array, " n"]) -> None:
    r"""$\theta, z_n\sim N(0, 1)$; $x_n\sim N(\theta + z_n + z_n\sin z_n, e^{2\cos z_n})$.

    The paper has the variance $\cos^2 z$, under which the density is unbounded wherever
    $\cos z = 0$ and the ELBO has no maximum; this is the scale that its code uses.
    """
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample(
            "x",
            dist.Normal(location(jnp.asarray(theta), jnp.asarray(z)), jnp.exp(jnp.cos(z))),
            obs=x,
        )


def code_model(x: Float[np.ndarray, " n"]) -> amortis.LatentModel:
    """The authors' loss as a model: without prior on theta and log scale of x."""
    return amortis.from_density(
        lambda theta: 0.0 * theta["theta"],
        lambda theta, z, x: (
            -0.5 * jnp.square(z["z"])
            - 0.5 * jnp.square((x - location(theta["theta"], z["z"])) * jnp.exp(-jnp.cos(z["z"])))
        ),
        x,
        globals_={"theta": ()},
        locals_={"z": ()},
    )


def simulate(setting: Setting, size: int, seed: int) -> NonlinearData:
    """Data from the model as stated, or as the code draws them (locals five times as wide).

    As the code has them, and with PyTorch installed and N = 10 000, the authors' own data are
    regenerated from their seed; otherwise NumPy draws from the same law.

    Args:
        setting: which law.
        size: number of rows N.
        seed: seed of NumPy's generator.

    Returns:
        The data.
    """
    if setting is Setting.CODE and size == 10_000:
        authors = _authors_data(size)
        if authors is not None:
            return NonlinearData(authors, authors=True)
    generator = np.random.default_rng(seed)
    theta = generator.normal()
    z = generator.normal(size=size) * (5.0 if setting is Setting.CODE else 1.0)
    noise = generator.normal(size=size)
    x = theta + z + z * np.sin(z) + np.exp(np.cos(z)) * noise
    return NonlinearData(x, authors=False)


def _authors_data(size: int) -> Float[np.ndarray, " n"] | None:
    try:
        import torch  # pyright: ignore
    except ImportError:
        return None
    state = torch.get_rng_state()
    torch.manual_seed(1789)
    theta, z, noise = torch.randn(1), 5 * torch.randn(size), torch.randn(size, 1)
    torch.set_rng_state(state)
    x = theta + torch.sin(z) * z + z + noise[:, 0] * torch.exp(torch.cos(z))
    return np.asarray(x.numpy(), np.float64)


def exact_elbo(fit: amortis.Fit, x: Float[np.ndarray, " n"], setting: Setting) -> float:
    r"""ELBO of any factorized Gaussian for this model, without sampling, nats total.

    The log joint is quadratic in θ, so that $E_\theta (x - \theta - g(z))^2 =
    (x - m - g(z))^2 + s^2$ with $g(z) = z + z\sin z$; what is left is one integral over z for
    each row, by the trapezoidal rule, which converges geometrically for integrands like these.

    Args:
        fit: a fit of `model` (`PAPER`) or `code_model` (`CODE`).
        x: its data.
        setting: which of them.
    """
    (theta, theta_sd), (z, z_sd) = fit.global_moments(), fit.local_moments()
    m, s = float(theta[0]), float(theta_sd[0])
    mean, sd = np.asarray(z, np.float64)[:, 0], np.asarray(z_sd, np.float64)[:, 0]
    log_2pi = math.log(2 * math.pi)
    total = 0.5 * (len(x) + 1) * (log_2pi + 1.0) + math.log(s) + float(np.log(sd).sum())
    nodes = np.linspace(-_REACH, _REACH, _GRID)
    weights = np.exp(-0.5 * np.square(nodes))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        points = mean + sd * node
        cosine = np.cos(points)
        error = np.square(x - m - points - points * np.sin(points)) + s**2
        terms = np.square(points) + error * np.exp(-2.0 * cosine)
        terms += 2.0 * cosine if setting is Setting.PAPER else 0.0
        total -= 0.5 * weight * float(terms.sum())
    if setting is Setting.PAPER:
        total -= 0.5 * (m**2 + s**2) + (len(x) + 0.5) * log_2pi
    return float(total)
