r"""`calibrate`: simulation-based calibration of the locals, one forward pass per simulation.

The ranks are uniform if $q(z; f(x))$ is the law of z given x when $q(\theta)$ is the prior of
$\theta$, $\int p(z\mid x,\theta)\, q(\theta\mid x)\, d\theta$ with
$q(\theta\mid x) \propto q(\theta)\, p(x\mid\theta)$: a unit is new to the fit, so its own data
would sharpen $\theta$ a little. With known or point-estimated globals that is
$p(z\mid x,\theta)$, and the test is exact. Otherwise the best factor of the guide differs from it
by the uncertainty of $\theta$, which a factorized q leaves out; with many data that is too small to
see.

The band is right for independent ranks. Units under one $\theta^*$ would share its error, and units
of one series their rows, so that every simulation has globals and data of its own, of which one
unit is kept.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from amortis._errors import ArgumentError, DataError
from amortis._require import require_callable, require_count, require_key, require_kind
from amortis._types import Parameters, RandomKey
from amortis.diagnostics.calibration_record import LEVEL, Calibration, SiteCalibration
from amortis.diagnostics.ecdf_bands import ecdf_band
from amortis.diagnostics.symmetry import symmetry_p
from amortis.fitting import Fit
from amortis.fitting.paired import seed_of
from amortis.guide import Guide
from amortis.inference_functions import AbstractIterated, AbstractRowFunction, WindowContext
from amortis.model import (
    LatentModel,
    NewArguments,
    Simulation,
    plan_simulation,
    require_observed,
    simulate_unit,
)

_FEWEST_SIMULATIONS, _FEWEST_DRAWS = 50, 19
_MOST_POINTS = 100
_NOMINAL = (0.5, 0.8, 0.9, 0.95)
_SURE = 0.2
"""A bias is named where symmetric ranks are so many times less likely than ranks off the band."""

_BLOCK_NUMBERS = 4_000_000
"""Numbers that are held at once while units are simulated."""


def calibrate(
    fitted: Fit,
    *,
    key: RandomKey,
    simulations: int = 1000,
    draws: int = 199,
    simulate: NewArguments | None = None,
) -> Calibration:
    r"""Check on simulated data that the factors of locals hold what the data were made from.

    For each simulation $\theta^* \sim q(\theta)$ is drawn anew, then $z^* \sim p(z\mid\theta^*)$
    and $x^* \sim p(x\mid z^*, \theta^*)$ for one unit, with the covariates or the group size of a
    unit of the data (where units share rows, for one whole series); the function gives
    $q(z; f(x^*))$, and each dimension of $z^*$ is ranked among draws of it. This tests the function
    and its factors, and not $q(\theta)$: for that the model would have to be fitted again to each
    simulated data set.

    Args:
        fitted: a fit of an inference function; a `Table` has none for simulated data.
        key: random key.
        simulations: number M of units to simulate, at least 50.
        draws: number of draws that each is ranked among, at least 19.
        simulate: where a site observes a transformed argument, such as `obs=jnp.log(x)`: maps a key
            and the values of all sites to new arguments by name, `lambda key, values: {"x":
            jnp.exp(values["log_x"])}`. It is traced, and sees one unit where units stand alone.

    Returns:
        The calibration; `print` reads as an answer. Calibrated factors stay within all bands with
        probability 95 % or a little more. Ranks are taken on the unconstrained scale, which for
        scalars makes no difference.

    Raises:
        ArgumentError: too few simulations or draws, a fit without a function, or a model from which
            no data can be drawn or put back.
        DataError: simulated locals that are not numbers.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> bound = amortis.from_numpyro(model, jax.numpy.linspace(-4.0, 4.0, 50))
        >>> fitted = amortis.fit(bound, key=jax.random.key(0), inference=amortis.Polynomial(1))
        >>> calibrate(fitted, key=jax.random.key(1)).sites["z"].finding
        'calibrated'

    References:
        Talts et al., *Validating Bayesian Inference Algorithms with Simulation-Based Calibration*
        (2018); Säilynoja, Bürkner & Vehtari (2022) for the bands; Yao et al., *Yes, but Did It
        Work?* (2018) for the symmetry of ranks as a test of bias.
    """
    _require(fitted, key, simulations, draws, simulate)
    ranks = _simulated_ranks(fitted, key, simulations, draws, simulate)
    names = _dimensions(fitted.guide)
    level = 1.0 - (1.0 - LEVEL) / len(names)  # of each band, so that all hold with LEVEL
    return Calibration(
        sites={n: site_calibration(ranks[:, i], draws, level) for i, n in enumerate(names)},
        simulations=simulations,
        draws=draws,
    )


def _simulated_ranks(
    fitted: Fit, key: RandomKey, simulations: int, draws: int, simulate: NewArguments | None
) -> Int[np.ndarray, "simulations d"]:
    guide, model = fitted.guide, fitted.model
    alone = isinstance(guide.inference, AbstractRowFunction)
    theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
    plan = plan_simulation(model, theta, alone=alone, new_arguments=simulate)
    units = _units(guide, key, _blocks(fitted, plan, simulations))
    found = _ranks(model, guide, fitted.variational, plan, units, key, draws)
    ranks, valid, observed = (np.concatenate(np.asarray(part))[:simulations] for part in found)
    require_observed(plan, observed)
    if not valid.all():
        raise DataError(
            f"{int((~valid).sum())} of {simulations} simulated units have locals or factors that "
            f"are not numbers; expected a model whose own draws are: check it with "
            f"numpyro.infer.Predictive"
        )
    return ranks


def _require(fitted: Any, key: Any, simulations: Any, draws: Any, simulate: Any) -> None:
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    for name, value, fewest in (
        ("simulations", simulations, _FEWEST_SIMULATIONS),
        ("draws", draws, _FEWEST_DRAWS),
    ):
        require_count("number of", name, value, "ask for more")
        if value < fewest:
            raise ArgumentError(
                f"number of {name} is {value}; expected at least {fewest}: ask for more"
            )
    if simulate is not None:
        require_callable("simulate", simulate)
    if fitted.guide.inference.owns_rows:
        raise ArgumentError(
            f"the fit has {type(fitted.guide.inference).__name__}(), a factor for each datum that "
            f"it was fitted to and no function for simulated data; expected an inference function "
            f"such as MLP(): calibrate the fit that was refined"
        )
    if isinstance(fitted.guide.inference, AbstractIterated):
        raise ArgumentError(
            f"the fit has {type(fitted.guide.inference).__name__}(...), whose steps climb the ELBO "
            f"of data that are bound, which simulated data are not; expected a function of rows, "
            f"such as MLP(): diagnose(fitted, key=key) measures what this one loses"
        )


def _units(guide: Guide, key: RandomKey, shape: tuple[int, int]) -> Int[np.ndarray, "blocks of"]:
    """The units that are simulated, each as often as any other; none whose window is cut off."""
    edge = guide.contexts.edge if isinstance(guide.contexts, WindowContext) else None
    usable = np.arange(guide.rows) if edge is None else np.flatnonzero(np.asarray(edge) < 0)
    if not len(usable):  # a fit that was bound to a series shorter than its window
        usable = np.arange(guide.rows)
    return np.resize(np.random.default_rng(seed_of(key)).permutation(usable), shape)


def _blocks(fitted: Fit, plan: Simulation, simulations: int) -> tuple[int, int]:
    """Blocks of one size, each held in memory at once, with at least so many simulations."""
    width = max(fitted.guide.z.dimension, fitted.model.inputs.shape[1], 1)
    most = max(_BLOCK_NUMBERS // (plan.rows * width + 200), 1)
    blocks = math.ceil(simulations / most)
    return blocks, math.ceil(simulations / blocks)


@eqx.filter_jit
def _ranks(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    plan: Simulation,
    units: Int[np.ndarray | Array, "blocks of"],
    key: RandomKey,
    draws: int,
) -> tuple[Int[Array, "blocks of d"], Bool[Array, "blocks of"], Bool[Array, "blocks of sites"]]:
    """Ranks of the simulated locals; whether they are of numbers, and of data that are observed."""

    def one(unit: Int[Array, ""], place: Int[Array, ""]) -> tuple[Array, Array, Array]:
        theta_key, unit_key, q_key = jax.random.split(jax.random.fold_in(key, place), 3)
        of_theta = jax.random.normal(theta_key, (guide.noise_size,))
        theta = guide.global_family.sample(variational["globals"], of_theta)
        drawn = simulate_unit(model, plan, guide.theta.split(theta), unit, unit_key)
        raw = guide.local_raw(variational, drawn.inputs, None)[drawn.place]
        truth = guide.z.join(drawn.z)
        noise = jax.random.normal(q_key, (draws, truth.shape[0]))
        given = guide.given(variational, raw[None], theta)[0]
        of_q = jax.vmap(guide.row_family.sample, (None, 0))(given, noise)
        valid = ~(jnp.any(jnp.isnan(truth)) | jnp.any(jnp.isnan(of_q)))
        return jnp.sum(of_q < truth, axis=0), valid, drawn.observed

    places = jnp.arange(units.size).reshape(units.shape)
    return jax.lax.map(lambda block: jax.vmap(one)(*block), (jnp.asarray(units), places))


def _dimensions(guide: Guide) -> list[str]:
    """A name for each scalar dimension of the locals, in the order of their vector."""
    return [
        f"{name}[{','.join(map(str, index))}]" if index else name
        for name, shape in guide.z.shapes.items()
        for index in np.ndindex(*shape)
    ]


def site_calibration(
    ranks: Int[np.ndarray, " simulations"], draws: int, level: float = LEVEL
) -> SiteCalibration:
    """What the ranks of one dimension say.

    Args:
        ranks: independent ranks in [0, draws].
        draws: number of draws they are ranked among.
        level: probability of calibrated ranks to stay within the band.

    Returns:
        Distribution function, band, coverage and the test of symmetry.
    """
    count = min(draws, _MOST_POINTS - 1, len(ranks))
    # Multiples of 1 / (draws + 1), at which uniform ranks have a uniform distribution function.
    steps = np.unique(np.round(np.arange(1, count + 1) * (draws + 1) / (count + 1))).astype(int)
    points = steps / (draws + 1)
    shares = np.searchsorted(np.sort(ranks), steps) / len(ranks)
    band = ecdf_band(len(ranks), tuple(points.tolist()), level)
    half_count = 0.5 / len(ranks)  # bounds are counts, and may not be missed by rounding
    within = (shares >= band.lower - half_count) & (shares <= band.upper + half_count)
    p = symmetry_p(ranks, draws)
    return SiteCalibration(
        ranks=ranks.astype(int),
        points=points,
        difference=shares - points,
        lower=band.lower - points,
        upper=band.upper - points,
        inside=bool(within.all()),
        coverage=tuple((nominal, _covered(ranks, draws, nominal)) for nominal in _NOMINAL),
        symmetry=p,
        bias=_bias(ranks, draws, p, _SURE * (1.0 - level)),
    )


def _covered(ranks: Int[np.ndarray, " simulations"], draws: int, nominal: float) -> float:
    """Share of ranks in the central interval; a rank that its end cuts counts in part."""
    tail = 0.5 * (1.0 - nominal) * (draws + 1)
    from_end = np.minimum(ranks, draws - ranks)
    return float(np.clip(from_end + 1.0 - tail, 0.0, 1.0).mean())


def _bias(ranks: Int[np.ndarray, " simulations"], draws: int, p: float, least: float) -> str:
    if p >= least:
        return f"none seen (p = {p:.2g})"
    side = "low" if ranks.mean() > 0.5 * draws else "high"
    return f"q is too {side} (p = {p:.2g})"
