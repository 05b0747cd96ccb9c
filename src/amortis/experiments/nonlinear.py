"""The paper's nonlinear model: widths of a network against constant and factorized VI."""

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
from amortis._types import RandomKey
from amortis.experiments.comparison import Comparison, MonitorFor, Reproduction, Setting

WIDTHS = (1, 2, 4, 8, 16, 24, 32)

_PRINTED = {
    "constant": 36700.0,
    "F-VI": 32398.86,
    "A-VI, k = 1": 35638.0,
    "A-VI, k = 2": 32593.0,
    "A-VI, k = 4": 32391.9,
    "A-VI, k = 8": 32387.0,
    "A-VI, k = 16": 32386.0,
    "A-VI, k = 24": 32385.6,
    "A-VI, k = 32": 32385.38,
}
"""Best losses of ten seeds printed by the authors' code after 20 000 iterations."""


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


def functions(setting: Setting) -> dict[str, amortis.Constant | amortis.Table | amortis.MLP]:
    """The inference functions of the paper's Figure 4; its networks have no linear skip."""
    skip = setting is Setting.PAPER
    networks = {f"A-VI, k = {k}": amortis.MLP(k, depth=2, skip=skip) for k in WIDTHS}
    return {"constant": amortis.Constant(), "F-VI": amortis.Table()} | networks


def run(
    setting: Setting,
    *,
    key: RandomKey,
    seeds: int = 1,
    size: int = 10_000,
    monitor_for: MonitorFor | None = None,
) -> Reproduction:
    """Fit the nonlinear model with each inference function and compare.

    Args:
        setting: `PAPER` compares ELBOs with the best found here; `CODE` compares losses in the
            authors' convention with those that their code printed.
        key: random key.
        seeds: fits per inference function.
        size: number of rows.
        monitor_for: makes a monitor for each fit by its name.

    Returns:
        One line per fit.
    """
    data = simulate(setting, size, seed=0)
    code = setting is Setting.CODE
    bound = code_model(data.x) if code else amortis.from_numpyro(model, data.x)
    found: list[tuple[str, float, float, str]] = []
    for name, function in functions(setting).items():
        for seed in range(seeds):
            fit_key, elbo_key = jax.random.split(jax.random.fold_in(key, seed))
            started = time.perf_counter()
            monitor = None if monitor_for is None else monitor_for(name)
            fit = amortis.fit(bound, key=fit_key, inference=function, monitor=monitor)
            seconds = time.perf_counter() - started
            elbo = fit.elbo(key=elbo_key, draws=256).mean
            found.append((name, elbo, seconds, fit.status.name))
    best = max(elbo for _, elbo, _, _ in found)
    # Their log q leaves out log 2 pi / 2 of each factor; their log joint is taken as it is here.
    left_out = 0.5 * (size + 1) * math.log(2 * math.pi)
    lines = tuple(
        Comparison(name, "loss, nats", _PRINTED[name], left_out - elbo, seconds, note)
        if code
        else Comparison(name, "ELBO, nats", best, elbo, seconds, note)
        for name, elbo, seconds, note in found
    )
    return Reproduction(
        f"nonlinear model, N = {size}, as the {setting.value} has it", lines, _remark(setting, data)
    )


def _remark(setting: Setting, data: NonlinearData) -> str:
    if setting is Setting.PAPER:
        return (
            "Reference: the best ELBO of this run. Scale exp(cos z) in place of the paper's "
            "singular cos z."
        )
    origin = (
        "The data are the authors' own (PyTorch, seed 1789)."
        if data.authors
        else "The data are drawn from the same law, not the authors' own: install the bench extra "
        "for those."
    )
    return f"Reference: best of ten seeds printed by the authors' code. {origin}"
