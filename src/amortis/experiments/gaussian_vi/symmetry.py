r"""Where a location family finds the point of symmetry of its target, and where it does not.

If p is even about $\nu$ and the base of q is even, $\nu$ is a stationary point of KL(q||p); where
log p is concave it is the minimum, and the mean is recovered whatever q's tails are (theorem 2 of
STAT 547; Margossian & Saul, 2025). Tails and shape may be wrong; symmetry must not be.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import amortis
from amortis._types import RandomKey
from amortis.experiments.gaussian_vi.gaussian import moments
from amortis.experiments.gaussian_vi.location_fit import BASES, located
from amortis.experiments.gaussian_vi.shapes import Shape, shapes

BAR = 1e-3
"""Most error of a location that counts as recovered, in sds of the target."""

LIBRARY = "Gaussian, amortis.fit"
"""What the library fits; all others are found by quadrature."""

_STARTS = (-2.0, 0.7)
"""Away from the mean of the target, in its sds."""

_FIXED_DRAWS, _ELBO_DRAWS, _CORRELATION_DRAWS = 1024, 65_536, 100_000
"""Fixed draws are many, since optima are compared here and not what few draws make of them."""


@dataclasses.dataclass(frozen=True)
class SymmetrySize:
    """Which targets are fitted.

    Attributes:
        targets: names of shapes; all where empty.
    """

    targets: tuple[str, ...] = ()


SHORT = SymmetrySize(targets=("Cauchy", "two modes, far", "log-gamma"))


@dataclasses.dataclass(frozen=True)
class SymmetryRow:
    """One q for one target.

    Attributes:
        target: name of the target.
        symmetric: whether the target is.
        q: family of q, and what found it.
        location: of q, by coordinate.
        scale: of q, by coordinate.
        error: largest distance of the location from the target's mean (or center, where there is no
            mean), in the target's sds; NaN where no q has a finite KL.
        kl: KL(q||p), in nats.
        kl_se: its standard error; zero where it is by quadrature.
        center_kl: the least KL of a q whose location is the center, in nats; NaN where that was
            not looked for.
        correlation: of the two coordinates under q, where q has one; NaN elsewhere.
        seconds: of the fit, compilation included.
    """

    target: str
    symmetric: bool
    q: str
    location: tuple[float, ...]
    scale: tuple[float, ...]
    error: float
    kl: float
    kl_se: float
    center_kl: float
    correlation: float
    seconds: float

    @property
    def recovered(self) -> bool:
        """Whether the mean is."""
        return self.error <= BAR


@dataclasses.dataclass(frozen=True)
class SymmetryResult:
    """All fits.

    Attributes:
        size: what was asked for.
        rows: one for each target and family.
    """

    size: SymmetrySize
    rows: tuple[SymmetryRow, ...]


def run_symmetry(
    size: SymmetrySize, *, key: RandomKey, tell: Callable[[str], None] = print
) -> SymmetryResult:
    """Fit every family to every target.

    Args:
        size: which targets.
        key: random key of the library's fits.
        tell: called with a line after each target.
    """
    rows: list[SymmetryRow] = []
    for shape in shapes():
        if size.targets and shape.name not in size.targets:
            continue
        found = [_fitted(shape, LIBRARY, amortis.DiagonalNormal(), key)]
        if len(shape.mean) > 1:
            found.append(_fitted(shape, f"{LIBRARY}, full-rank", amortis.FullRank(), key))
        found += [_by_quadrature(shape, base) for base in BASES]
        rows += found
        worst = max(row.error for row in found if not math.isnan(row.error))
        tell(f"symmetry, {shape.name}: location off by up to {worst:.2g} sds")
    return SymmetryResult(size, tuple(rows))


def _fitted(
    shape: Shape, name: str, family: amortis.DiagonalNormal | amortis.FullRank, key: RandomKey
) -> SymmetryRow:
    """What the library finds, from its own start near zero."""
    model = amortis.from_density(
        lambda theta: shape.log_density(theta["u"]),
        lambda theta, z, x: jnp.zeros_like(x),
        jnp.zeros(1),
        globals_={"u": (len(shape.mean),)},
        locals_={},
    )
    started = time.perf_counter()
    optimiser = amortis.FixedDraws(draws=_FIXED_DRAWS)
    fit = amortis.fit(model, key=key, globals_=family, optimiser=optimiser)
    seconds = time.perf_counter() - started
    mean, sds = moments(fit)
    elbo = fit.elbo(key=jax.random.fold_in(key, 1), draws=_ELBO_DRAWS)
    correlation = math.nan
    if isinstance(family, amortis.FullRank):
        key = jax.random.fold_in(key, 2)
        draws = fit.posterior(key=key, draws=_CORRELATION_DRAWS)["u"]
        correlation = float(np.corrcoef(draws, rowvar=False)[0, 1])
    return SymmetryRow(
        target=shape.name,
        symmetric=shape.symmetric,
        q=name,
        location=tuple(float(v) for v in mean),
        scale=tuple(float(v) for v in sds),
        error=_error(shape, mean),
        kl=-elbo.mean,
        kl_se=elbo.se,
        center_kl=math.nan,
        correlation=correlation,
        seconds=seconds,
    )


def _by_quadrature(shape: Shape, base: str) -> SymmetryRow:
    """The best of the optima that the starts lead to, and the one at the center."""
    away = [
        tuple(m + share * s for m, s in zip(shape.mean, shape.spread, strict=True))
        for share in _STARTS
    ]
    started = time.perf_counter()
    # From the center no step leads away: the slope in the location is zero there by symmetry.
    every = located(shape, base, [*away, shape.mean] if shape.symmetric else away)
    seconds = time.perf_counter() - started
    best = min(every[: len(away)], key=lambda one: one.kl) if every else None
    return SymmetryRow(
        target=shape.name,
        symmetric=shape.symmetric,
        q=base,
        location=() if best is None else best.location,
        scale=() if best is None else best.scale,
        error=math.nan if best is None else _error(shape, best.location),
        kl=math.inf if best is None else best.kl,
        kl_se=0.0,
        center_kl=every[-1].kl if shape.symmetric else math.nan,
        correlation=math.nan,
        seconds=seconds,
    )


def _error(shape: Shape, location: Sequence[float] | np.ndarray) -> float:
    return float(np.abs((np.asarray(location) - shape.mean) / np.asarray(shape.spread)).max())
