r"""The log joint in NumPy and double precision, by other means than the model's.

The equations are solved by Runge and Kutta's rule of fourth order with a small fixed step, the
negative binomial and the priors are written out.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, log_ndtr

from amortis.experiments.sir.data import BOYS, CASES, DAYS, INFECTED

_STEPS = 40
"""Steps a day: the error of log I is below 1e-7 around the posterior."""

Axis = Float[np.ndarray, " points"]


def log_curves(
    log_gamma: Float[np.ndarray, "*shape"], log_beta: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape days"]:
    """Log of the infected on days 1, …, 14.

    Args:
        log_gamma: log of the rate of recovery, per day.
        log_beta: log of the rate of contacts, per day.
    """
    gamma, beta, step = np.exp(log_gamma), np.exp(log_beta), 1.0 / _STEPS

    def slope(state: np.ndarray) -> np.ndarray:
        susceptible, infected = np.exp(state) / BOYS
        return np.stack([-beta * infected, beta * susceptible - gamma])

    first = np.log([BOYS - INFECTED, INFECTED])
    state = np.multiply.outer(first, np.ones_like(gamma))
    found: list[np.ndarray] = []
    for _ in DAYS:
        for _ in range(_STEPS):
            k1 = slope(state)
            k2 = slope(state + 0.5 * step * k1)
            k3 = slope(state + 0.5 * step * k2)
            k4 = slope(state + step * k3)
            state = state + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        found.append(state[1])
    return np.stack(found, axis=-1)


def log_joint(
    log_gamma: Axis, log_beta: Axis, log_phi_inv: Axis
) -> Float[np.ndarray, "gammas betas phis"]:
    r"""$\log p(\text{cases}, \log\gamma, \log\beta, \log\phi^{-1})$ on a grid, in nats.

    Args:
        log_gamma: nodes of the first axis.
        log_beta: of the second.
        log_phi_inv: of the third.
    """
    log_i = log_curves(*np.meshgrid(log_gamma, log_beta, indexing="ij"))
    phi = np.exp(-log_phi_inv)
    total = np.zeros((len(log_gamma), len(log_beta), len(log_phi_inv)))
    for y, log_mean in zip(CASES, np.moveaxis(log_i, -1, 0), strict=True):
        # Γ(y+φ)/(Γ(φ) y!) · φ^φ I^y / (φ+I)^(φ+y)
        total += gammaln(y + phi) - gammaln(phi) - gammaln(y + 1.0) - phi * log_phi_inv
        total += y * log_mean[..., None]
        total -= (phi + y) * np.log(phi + np.exp(log_mean)[..., None])
    return (
        total
        + _log_truncated(log_gamma, 0.4, 0.5)[:, None, None]
        + _log_truncated(log_beta, 2.0, 1.0)[:, None]
        + (math.log(5.0) - 5.0 * np.exp(log_phi_inv) + log_phi_inv)
    )


def _log_truncated(log_value: Axis, mean: float, sd: float) -> Axis:
    """Density of the log of a normal above zero; the value itself is the log determinant's."""
    z = (np.exp(log_value) - mean) / sd
    constant = -0.5 * math.log(2.0 * math.pi) - math.log(sd) - float(log_ndtr(mean / sd))
    return constant - 0.5 * np.square(z) + log_value
