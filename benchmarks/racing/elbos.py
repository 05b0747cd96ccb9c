"""The race's one evaluator: the ELBO of any Gaussian q on the unconstrained scale, in 64 bit.

Closed form for factorized q of linear, saw, radon and PPCA, Gauss-Hermite in z for the nonlinear
model, 32 antithetic draws layer by layer for the likelihood of the neural network (in 32 bit), and
1024 antithetic draws, the same for everybody, for IRT and for q with a covariance.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from racing.layers import bnn_likelihood
from racing.log_joints import ALPHA, HALF_LOG_2PI, SIGMA, TAU, log_joint
from racing.tasks import Task

PAIRS, PAIRS_AT_ONCE, NODES = 512, 64, 64


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A Gaussian q.

    Attributes:
        mean: shape (latents,).
        sd: marginal sds, shape (latents,).
        factor: F with covariance F F', shape (latents, latents), or None if q is factorized.
        log_det: log |det F|, where there is a factor.
    """

    mean: np.ndarray
    sd: np.ndarray
    factor: np.ndarray | None = None
    log_det: float = 0.0

    def entropy(self) -> float:
        """Entropy, nats."""
        log_det = float(np.log(self.sd).sum()) if self.factor is None else self.log_det
        return log_det + len(self.mean) * (HALF_LOG_2PI + 0.5)


def elbo(task: Task, data: dict[str, Any], q: Gaussian) -> tuple[float, float]:
    """ELBO of q and its standard error, nats, total; the error is 0 unless draws are used.

    What is not finite has an ELBO of minus infinity.
    """
    q = dataclasses.replace(q, mean=q.mean.astype(np.float64), sd=q.sd.astype(np.float64))
    with np.errstate(all="ignore"):
        if q.factor is None and task.name in _CLOSED:
            m, v = task.split(q.mean), task.split(np.square(q.sd))
            value, error = _CLOSED[task.name](m, v, data), 0.0
        elif q.factor is None and task.name == "bnn":
            value, error = _bnn(task.split(q.mean), task.split(np.square(q.sd)), data)
        else:
            value, error = _by_draws(task, data, q)
        value += q.entropy()
    return (value, error) if math.isfinite(value) else (-math.inf, 0.0)


def _by_draws(task: Task, data: dict[str, Any], q: Gaussian) -> tuple[float, float]:
    generator, values = np.random.default_rng(1), []
    for _ in range(PAIRS // PAIRS_AT_ONCE):
        noise = generator.standard_normal((PAIRS_AT_ONCE, len(q.mean)))
        step = noise * q.sd if q.factor is None else noise @ q.factor.astype(np.float64).T
        both = log_joint(task, data, q.mean + step), log_joint(task, data, q.mean - step)
        values.append(0.5 * (both[0] + both[1]))
    pairs = np.concatenate(values)
    return float(pairs.mean()), float(pairs.std(ddof=1) / math.sqrt(PAIRS))


def _square(mean: Any, variance: Any, log_sd: float = 0.0) -> float:
    """Sum of E log N(e; 0, sd) over entries e of the given means and variances."""
    entries = np.square(mean) + variance
    return float(np.sum(-0.5 * entries * math.exp(-2 * log_sd) - log_sd - HALF_LOG_2PI))


Sites = dict[str, np.ndarray]


def _linear(m: Sites, v: Sites, data: dict[str, Any]) -> float:
    residual, variance = data["x"] - m["theta"] - TAU * m["z"], v["theta"] + TAU**2 * v["z"]
    return _square(m["z"], v["z"]) + _square(residual, variance, math.log(SIGMA))


def _nonlinear(m: Sites, v: Sites, data: dict[str, Any]) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    z = m["z"][:, None] + np.sqrt(v["z"])[:, None] * nodes
    log_scale = np.cos(z)
    residual = np.square(data["x"][:, None] - m["theta"] - z - z * np.sin(z)) + v["theta"]
    terms = -0.5 * np.square(z) - 0.5 * residual * np.exp(-2 * log_scale) - log_scale
    total = float((terms @ weights).sum()) - 2 * len(z) * HALF_LOG_2PI
    return total + _square(m["theta"], v["theta"])


def _saw(m: Sites, v: Sites, data: dict[str, Any]) -> float:
    x = data["x"]
    local = _square(m["z"] - np.append(0.0, x[:-1]), v["z"])
    residual = x - ALPHA * (m["theta"] + m["z"])
    likelihood = _square(residual, ALPHA**2 * (v["theta"] + v["z"]))
    return local + likelihood + _square(m["theta"], v["theta"])


def _scaled(mean: Any, variance: Any, log_sd: Any, log_sd_variance: Any) -> float:
    """As `_square`, the log sd being Gaussian too: E exp(-2 l) = exp(-2 m + 2 v)."""
    entries = np.square(mean) + variance
    precision = np.exp(-2 * log_sd + 2 * log_sd_variance)
    return float(np.sum(-0.5 * entries * precision - log_sd - HALF_LOG_2PI))


def _radon(m: Sites, v: Sites, data: dict[str, Any]) -> float:
    county, u, f = data["county_idx"] - 1, data["log_uppm"], data["floor_measure"]
    residual = data["log_radon"] - m["z"][county] - m["gamma"] * u - m["beta"] * f
    variance = v["z"][county] + v["gamma"] * np.square(u) + v["beta"] * np.square(f)
    prior = sum(_square(m[n], v[n], math.log(10.0)) for n in ("mu", "gamma", "beta"))
    prior += _square(m["tau"], v["tau"]) + _square(m["sigma"], v["sigma"])
    locals_ = _scaled(m["z"] - m["mu"], v["z"] + v["mu"], m["tau"], v["tau"])
    return prior + locals_ + _scaled(residual, variance, m["sigma"], v["sigma"])


def _ppca(m: Sites, v: Sites, data: dict[str, Any]) -> float:
    residual = data["x"] - m["z"] @ m["W"].T - m["mu"]
    variance = v["z"] @ (np.square(m["W"]) + v["W"]).T + np.square(m["z"]) @ v["W"].T + v["mu"]
    prior = _square(m["W"], v["W"]) + _square(m["mu"], v["mu"]) + _square(m["z"], v["z"])
    prior += _square(m["sigma"], v["sigma"])
    return prior + _scaled(residual, variance, m["sigma"], v["sigma"])


def _bnn(m: Sites, v: Sites, data: dict[str, Any]) -> tuple[float, float]:
    prior = sum(_square(m[name], v[name], math.log(0.5) / 2) for name in m if name != "z")
    value, error = bnn_likelihood(m, v, data["x"])
    return prior + _square(m["z"], v["z"]) + value, error


_CLOSED: dict[str, Callable[[Sites, Sites, dict[str, Any]], float]] = {
    "linear": _linear,
    "nonlinear": _nonlinear,
    "saw": _saw,
    "radon": _radon,
    "ppca": _ppca,
}
