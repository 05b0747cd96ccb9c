"""The models' log joints in NumPy, 64 bit: what every contestant's own is held against.

Each takes sites on the unconstrained scale with a leading axis of draws and returns nats, total,
of shape (draws,), constants and log determinants included.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from racing.tasks import Task

Sites = dict[str, np.ndarray]
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
TAU, SIGMA, ALPHA, LEAK = 1.155, 2.43, 0.75, 0.2


def log_joint(task: Task, data: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """Log joint density of points on the unconstrained scale.

    Args:
        task: the task.
        data: its data.
        points: shape (draws, latents).

    Returns:
        Nats, total, shape (draws,).
    """
    return _LOG_JOINTS[task.name](task.split(np.asarray(points, np.float64)), data)


def trial_points(task: Task) -> np.ndarray:
    """Three points at which contestants' densities are compared, shape (3, latents)."""
    points = 0.3 * np.random.default_rng(5).standard_normal((3, task.latents))
    points[:, : task.first_local] *= task.trial_sd / 0.3
    return points


def _normal(x: Any, mean: Any, log_sd: Any) -> np.ndarray:
    return -0.5 * np.square((x - mean) * np.exp(-log_sd)) - log_sd - HALF_LOG_2PI


def _total(terms: np.ndarray) -> np.ndarray:
    return terms.reshape(len(terms), -1).sum(1)


def _linear(q: Sites, data: dict[str, Any]) -> np.ndarray:
    mean = q["theta"][:, None] + TAU * q["z"]
    return _total(_normal(q["z"], 0.0, 0.0) + _normal(data["x"], mean, math.log(SIGMA)))


def _nonlinear(q: Sites, data: dict[str, Any]) -> np.ndarray:
    z = q["z"]
    mean = q["theta"][:, None] + z + z * np.sin(z)
    local = _normal(z, 0.0, 0.0) + _normal(data["x"], mean, np.cos(z))
    return _normal(q["theta"], 0.0, 0.0) + _total(local)


def _saw(q: Sites, data: dict[str, Any]) -> np.ndarray:
    x, z = data["x"], q["z"]
    mean = ALPHA * (q["theta"][:, None] + z)
    local = _normal(z, np.append(0.0, x[:-1]), 0.0) + _normal(x, mean, 0.0)
    return _normal(q["theta"], 0.0, 0.0) + _total(local)


def _radon(q: Sites, data: dict[str, Any]) -> np.ndarray:
    mu, gamma, beta, sigma = (q[name][:, None] for name in ("mu", "gamma", "beta", "sigma"))
    mean = q["z"][:, data["county_idx"] - 1]
    mean = mean + gamma * data["log_uppm"] + beta * data["floor_measure"]
    prior = sum(_normal(q[name], 0.0, math.log(10.0)) for name in ("mu", "gamma", "beta"))
    prior = prior + _normal(q["tau"], 0.0, 0.0) + _normal(q["sigma"], 0.0, 0.0)
    locals_ = _total(_normal(q["z"], mu, q["tau"][:, None]))
    return prior + locals_ + _total(_normal(data["log_radon"], mean, sigma))


def _irt(q: Sites, data: dict[str, Any]) -> np.ndarray:
    y, z = data["y"], q["z"]
    cutpoints = np.concatenate([q["first"][:, None], np.exp(q["step"])], axis=1).cumsum(1)
    infinite = np.full_like(cutpoints[:, :1], np.inf)
    edges = np.concatenate([-infinite, cutpoints, infinite], axis=1)  # (draws, answers + 1, items)
    items = np.arange(y.shape[1])
    center = z[:, :, None] * np.exp(q["slope"])[:, None]
    low, high = edges[:, y, items] - center, edges[:, y + 1, items] - center
    # sigmoid(high) - sigmoid(low) = sigmoid(high) sigmoid(-low) (1 - exp(low - high))
    graded = -np.logaddexp(0.0, -high) - np.logaddexp(0.0, low) + np.log(-np.expm1(low - high))
    prior = _total(_normal(q["slope"], 0.0, 0.0) + _normal(q["first"], -2.0, math.log(2.0)))
    return (
        prior + _total(_normal(q["step"], 0.0, 0.0)) + _total(_normal(z, 0.0, 0.0)) + _total(graded)
    )


def _ppca(q: Sites, data: dict[str, Any]) -> np.ndarray:
    center = q["z"] @ q["W"].swapaxes(1, 2) + q["mu"][:, None]
    prior = _total(_normal(q["W"], 0.0, 0.0)) + _total(_normal(q["mu"], 0.0, 0.0))
    prior = prior + _normal(q["sigma"], 0.0, 0.0) + _total(_normal(q["z"], 0.0, 0.0))
    return prior + _total(_normal(data["x"], center, q["sigma"][:, None, None]))


def _bnn(q: Sites, data: dict[str, Any]) -> np.ndarray:
    log_sd = 0.5 * math.log(0.5)
    prior = sum(_total(_normal(q[name], 0.0, log_sd)) for name in q if name != "z")
    hidden = q["z"]
    for layer in ("1", "2", "3"):
        hidden = hidden @ q["w" + layer] + q["b" + layer][:, None]
        hidden = hidden if layer == "3" else np.maximum(hidden, LEAK * hidden)
    return prior + _total(_normal(q["z"], 0.0, 0.0)) + _total(_normal(data["x"], hidden, log_sd))


_LOG_JOINTS: dict[str, Callable[[Sites, dict[str, Any]], np.ndarray]] = {
    "linear": _linear,
    "nonlinear": _nonlinear,
    "saw": _saw,
    "radon": _radon,
    "irt": _irt,
    "ppca": _ppca,
    "bnn": _bnn,
}
