"""A fit whose names are hostile, its diagnosis, and a calibration; made once per process."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import amortis

ROWS = 60
KEY = jax.random.key(7)
SITE = "<script>window.broken=1</script>"
PLATE = 'rows" onload="window.broken=1'
COLUMN = "</script><img src=x onerror=window.broken=1>\u202e'\"&\u05d0\u05d1" + "x" * 10_000


@dataclasses.dataclass(frozen=True)
class SiteRanks:
    points: np.ndarray
    difference: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    inside: bool
    coverage: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Calibration:
    sites: dict[str, SiteRanks]
    simulations: int = 100
    draws: int = 50


def calibration() -> Calibration:
    points = np.linspace(0.0, 1.0, 51)
    band = 0.15 * np.sqrt(points * (1 - points)) + 0.01
    coverage = ((0.5, 0.52), (0.9, 0.71))
    inside = SiteRanks(points, 0.5 * band, -band, band, True, coverage)
    outside = SiteRanks(points, 2.0 * band, -band, band, False, coverage)
    return Calibration({SITE: inside, "mu": outside})


def model(x):
    mu = numpyro.sample(SITE, dist.Normal(jnp.zeros(()), 10.0))
    with numpyro.plate(PLATE, x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mu, 1.0))
        numpyro.sample("x", dist.Normal(z, 0.7), obs=x)


def data(rows: int = ROWS) -> np.ndarray:
    generator = np.random.default_rng(0)
    return (2.0 + 1.3 * generator.normal(size=rows)).astype(np.float32)


@functools.cache
def page_fit() -> amortis.Fit:
    bound = amortis.from_numpyro(model, data())
    fitted = amortis.fit(bound, key=KEY, inference=amortis.Constant())
    return renamed(fitted)


@functools.cache
def page_diagnosis() -> amortis.Diagnosis:
    return amortis.diagnose(page_fit(), key=KEY)


def renamed(fitted: amortis.Fit) -> amortis.Fit:
    """The fit, whose function reads a column with a hostile name."""
    return dataclasses.replace(
        fitted, model=dataclasses.replace(fitted.model, input_names=(COLUMN,))
    )


def made_up_diagnosis(size: int) -> amortis.Diagnosis:
    """Gaps and k-hats of many rows, without measuring them."""
    generator = np.random.default_rng(1)
    gaps = generator.exponential(1e-3, size)
    gaps[[5, size - 7]] = 4.0, 3.0
    k = generator.normal(0.2, 0.15, size)
    k[size // 2] = 1.4
    return dataclasses.replace(
        page_diagnosis(),
        size=size,
        row_gaps=gaps,
        row_gap_ses=0.1 * gaps,
        row_k=k,
        own_k=np.full(size, np.nan),
        influence_k=np.full(size, np.nan),
    )
