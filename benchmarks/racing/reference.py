"""What the race is held against: a long fit's ELBO, and the exact or NUTS means of the globals."""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS

import amortis
from racing.contestants.ours import moments
from racing.elbos import Gaussian, elbo
from racing.log_joints import ALPHA, SIGMA, TAU
from racing.models import CODES, MODELS
from racing.tasks import Goal, Task, load

_NUTS = {"ppca": (1, 500, 7)}
"""Chains, draws of each, depth of trees, where longer ones would take hours: loadings turn freely,
but the mean and the noise sd, which are compared, are known to a hundredth of themselves."""

KEPT = Path(__file__).parents[1] / "results" / "race_reference.json"


def reference(task: Task, data: dict[str, Any]) -> dict[str, Any]:
    """Means and sds of the identified globals under the posterior, and the best ELBO we can reach.

    `off` is how far the factorized optimum's own means are from them, in posterior sds. Nothing is
    there of a model that has no identified globals and whose optimum takes hours.
    """
    if task.goal is Goal.BEST_PEER:
        return {"how": None, "mean": [], "sd": [], "elbo": None, "off": None}
    means, sds, how = _posterior(task, data)
    best, q = -np.inf, None
    model = amortis.from_numpyro(MODELS[task.name], **data)
    for seed in (100, 101):
        key = jax.random.key(seed)
        for function in (None, amortis.Table()):
            fit = amortis.fit(model, key=key, inference=function)
            found = moments(task, amortis.refine(fit, key=key))
            value, _ = elbo(task, data, Gaussian(found["mean"], found["sd"]))
            if value > best:
                best, q = value, found
    assert q is not None
    off = np.abs(q["mean"][task.identified_places()] - means) / sds
    return {
        "how": how,
        "mean": np.asarray(means).tolist(),
        "sd": np.asarray(sds).tolist(),
        "elbo": best,
        "off": float(off.max()),
    }


def ensure(task: Task, folder: Path) -> dict[str, Any]:
    """The reference of a task, made and kept if it is not there."""
    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    if task.name not in known:
        print(f"{task.name}: reference", file=sys.stderr, flush=True)
        known[task.name] = reference(task, load(task, folder))
        KEPT.write_text(json.dumps(known, indent=1) + "\n")
    return known[task.name]


def _posterior(task: Task, data: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, str]:
    if task.name == "linear":
        x, variance = data["x"], SIGMA**2 + TAU**2
        return np.array([x.mean()]), np.array([np.sqrt(variance / len(x))]), "closed form"
    if task.name == "saw":
        x, variance = data["x"], 1.0 + ALPHA**2
        precision = len(x) * ALPHA**2 / variance + 1.0
        mean = ALPHA * (x - ALPHA * np.append(0.0, x[:-1])).sum() / variance / precision
        return np.array([mean]), np.array([precision**-0.5]), "closed form"
    if task.name == "nonlinear":
        return (*_by_quadrature(data["x"]), "quadrature")
    chains, length, depth = _NUTS.get(task.name, (4, 1000, 10))
    how = f"NUTS, {chains} chains of {length}, trees of at most 2^{depth}"
    return (*_by_nuts(task, data, chains, length, depth), how)


def _by_quadrature(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior of theta in the nonlinear model: z on a grid, theta on a grid."""
    z = np.linspace(-6.0, 6.0, 801)
    log_sd, center = np.cos(z), z + z * np.sin(z)
    log_prior = -0.5 * np.square(z) - log_sd

    def log_posterior(theta: float) -> float:
        residual = (x[:, None] - theta - center) * np.exp(-log_sd)
        terms = log_prior - 0.5 * np.square(residual)
        return float(np.logaddexp.reduce(terms, axis=1).sum()) - 0.5 * theta**2

    center_of_theta, width = float(x.mean()), 1.0
    for _ in range(4):  # the grid closes in on the posterior
        grid = np.linspace(center_of_theta - 4 * width, center_of_theta + 4 * width, 25)
        values = np.array([log_posterior(theta) for theta in grid])
        weights = np.exp(values - values.max())
        weights /= weights.sum()
        center_of_theta = float(weights @ grid)
        spread = float(np.sqrt(weights @ np.square(grid - center_of_theta)))
        width = max(spread, (grid[1] - grid[0]) / 2)
    return np.array([center_of_theta]), np.array([spread])


def _by_nuts(
    task: Task, data: dict[str, Any], chains: int, length: int, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    model = _marginal_ppca if task.name == "ppca" else MODELS[task.name]
    mcmc = MCMC(
        NUTS(model, max_tree_depth=depth),
        num_warmup=length,
        num_samples=length,
        num_chains=chains,
        chain_method="sequential",
        progress_bar=False,
    )
    mcmc.run(jax.random.key(0), **data)
    draws = mcmc.get_samples()
    flat = {name: np.asarray(draws[name]).reshape(chains * length, -1) for name in task.identified}
    parts = [np.log(v) if name in task.positive else v for name, v in flat.items()]
    every = np.concatenate(parts, axis=1)
    return every.mean(0), every.std(0)


def _marginal_ppca(x: Any) -> None:
    """PPCA with the codes integrated out, by the data's mean and scatter."""
    rows, columns = x.shape
    loadings = numpyro.sample("W", dist.Normal(0.0, 1.0).expand([columns, CODES]).to_event(2))
    mean = numpyro.sample("mu", dist.Normal(0.0, 1.0).expand([columns]).to_event(1))
    sd = numpyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    center = np.asarray(x).mean(0)
    scatter = jnp.asarray((np.asarray(x) - center).T @ (np.asarray(x) - center))
    off = jnp.asarray(center) - mean
    moment = scatter + rows * jnp.outer(off, off)
    # Woodbury: (W W' + s^2 I)^-1 = (I - W (s^2 I + W' W)^-1 W') / s^2
    inner = loadings.T @ loadings + sd**2 * jnp.eye(CODES)
    chol = jnp.linalg.cholesky(inner)
    half = jax.scipy.linalg.solve_triangular(chol, loadings.T, lower=True)
    quadratic = (jnp.trace(moment) - jnp.trace(half @ moment @ half.T)) / sd**2
    log_det = 2 * jnp.log(jnp.diag(chol)).sum() + 2 * (columns - CODES) * jnp.log(sd)
    numpyro.factor("x", -0.5 * quadratic - 0.5 * rows * log_det)
