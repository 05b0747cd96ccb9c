"""The race's one evaluator: the ELBO of any factorized Gaussian q, without sampling, in float64."""

import math

import numpy as np

from amortis.experiments import linear

_NODES, _GLOBAL_NODES = 64, 5


def elbo(
    model: str,
    x: np.ndarray,
    theta_mean: float,
    theta_sd: float,
    z_mean: np.ndarray,
    z_sd: np.ndarray,
) -> float:
    """ELBO in nats, total, constants kept.

    Linear: closed form. Nonlinear: Gauss-Hermite with 64 nodes for each row's z times 5 for theta,
    good to 1e-3 nats in total at the fits compared here.

    Args:
        model: "linear" or "nonlinear" (theta ~ N(0, 1), as the paper has it).
        x: data, shape (N,).
        theta_mean: mean of q(theta).
        theta_sd: sd of q(theta).
        z_mean: means of q(z_n), shape (N,).
        z_sd: sds of q(z_n), shape (N,).

    Returns:
        The ELBO; minus infinity where it is not finite.
    """
    z_mean, z_sd = z_mean.astype(np.float64), z_sd.astype(np.float64)
    if model == "linear":
        value = linear.factorized_elbo(x, float(theta_mean), float(theta_sd), z_mean, z_sd)
        return value if math.isfinite(value) else -math.inf
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    global_nodes, global_weights = np.polynomial.hermite_e.hermegauss(_GLOBAL_NODES)
    weights, global_weights = weights / weights.sum(), global_weights / global_weights.sum()
    z = z_mean[:, None] + z_sd[:, None] * nodes
    center, log_scale = z + z * np.sin(z), np.cos(z)
    log_two_pi = math.log(2 * math.pi)
    total = float((weights * (-0.5 * np.square(z) - log_scale)).sum()) - len(x) * log_two_pi
    precision = np.exp(-2 * log_scale)
    for node, weight in zip(global_nodes, global_weights, strict=True):
        theta = theta_mean + theta_sd * node
        squares = np.square(x[:, None] - theta - center) * precision
        total += weight * (-0.5 * float((weights * squares).sum()) - 0.5 * theta**2)
    total += -0.5 * log_two_pi + float(np.log(z_sd).sum()) + math.log(theta_sd)
    total += (len(x) + 1) * 0.5 * (log_two_pi + 1)
    return total if math.isfinite(total) else -math.inf


def seconds_to_stay(seconds: np.ndarray, elbos: "Evaluator", target: float) -> float:
    """Seconds of the first snapshot from which on every snapshot reaches the target.

    Args:
        seconds: time of each snapshot.
        elbos: gives the ELBO of a snapshot by position; asked from the end backwards.
        target: ELBO to reach, nats total.

    Returns:
        Seconds; infinity where the last snapshot does not reach the target.
    """
    reached = math.inf
    for i in reversed(range(len(seconds))):
        if elbos(i) < target:
            break
        reached = float(seconds[i])
    return reached


class Evaluator:
    """ELBO of a run's snapshots by position, each computed once."""

    def __init__(self, model: str, x: np.ndarray, run: dict[str, np.ndarray], prefix: str) -> None:
        self._model, self._x, self._run, self._prefix = model, x, run, prefix
        self._known: dict[int, float] = {}

    def __call__(self, i: int) -> float:
        if i not in self._known:
            names = ("theta_mean", "theta_sd", "z_mean", "z_sd")
            q = [self._run[self._prefix + name][i] for name in names]
            self._known[i] = elbo(self._model, self._x, *q)
        return self._known[i]
