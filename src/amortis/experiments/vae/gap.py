"""The inference gap in its terms, as plain numbers that a file can keep."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

import amortis
from amortis._types import RandomKey
from amortis.experiments.vae.sizes import VaeSize

_NEAR = 2.0
"""Standard errors within which the terms have to add up."""

_MANY = ("estimates", "optima", "terms")
_ONE = ("log_evidence", "encoder", "total")


@dataclasses.dataclass(frozen=True)
class Level:
    """A mean over images, in nats per image.

    Attributes:
        name: of what.
        mean: over the images.
        draws_se: its standard error for these very images, from draws.
        rows_se: its standard error if they are a sample of more.
    """

    name: str
    mean: float
    draws_se: float
    rows_se: float

    @classmethod
    def of(cls, term: amortis.RowTerm) -> "Level":
        """The mean of a term."""
        return cls(term.name, term.mean.mean, term.mean.se, term.over_rows.se)


@dataclasses.dataclass(frozen=True)
class Gap:
    """The inference gap on images of one kind.

    Attributes:
        images: training or held-out.
        estimates: of the log evidence; all are lower bounds in expectation.
        log_evidence: made of them.
        optima: ELBO of each image's own optimum, from the poorest family on.
        encoder: ELBO of the encoder.
        terms: gaps, from the approximation gap of the richest family to the amortization gap.
        total: the whole gap, measured apart.
        closure: the sum of the terms less the whole, with the standard error of that.
        closure_se: see above.
    """

    images: str
    estimates: tuple[Level, ...]
    log_evidence: Level
    optima: tuple[Level, ...]
    encoder: Level
    terms: tuple[Level, ...]
    total: Level
    closure: float
    closure_se: float

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "Gap":
        """The record of what JSON made of one."""
        values = dict(given)
        values |= {name: tuple(Level(**each) for each in given[name]) for name in _MANY}
        values |= {name: Level(**given[name]) for name in _ONE}
        return cls(**values)

    @property
    def adds_up(self) -> bool:
        """Whether the terms are the whole, within two standard errors."""
        return abs(self.closure) <= _NEAR * self.closure_se

    @property
    def amortization(self) -> Level:
        """What the encoder costs: its image's own optimum in its family less what it gives."""
        return self.terms[-1]

    @property
    def approximation(self) -> float:
        """What the encoder's family costs, Cremer's approximation gap: all other terms."""
        return sum(term.mean for term in self.terms[:-1])


def gap_of(fitted: amortis.Fit, images: str, size: VaeSize, key: RandomKey) -> Gap:
    """Take the gap on a fit's images apart.

    Args:
        fitted: on these images.
        images: what they are called.
        size: how many of them, and how it is measured.
        key: random key.
    """
    found = amortis.inference_gap(
        fitted,
        key=key,
        rows=size.measured,
        families=size.families,
        importance=amortis.ImportanceSampling(draws=size.importance),
        annealed=amortis.AnnealedImportanceSampling(
            temperatures=size.temperatures, chains=size.chains, leapfrog=size.leapfrog
        ),
        search=amortis.RowAscent(
            steps=size.ascent_steps, draws=size.ascent_draws, rate=size.ascent_rate
        ),
        draws=size.gap_draws,
    )
    return Gap(
        images,
        tuple(map(Level.of, found.estimates.values())),
        Level.of(found.log_evidence),
        tuple(map(Level.of, found.optima)),
        Level.of(found.encoder),
        tuple(map(Level.of, found.terms)),
        Level.of(found.total),
        found.closure.mean,
        found.closure.se,
    )


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """The log likelihood of held-out images by importance sampling.

    Attributes:
        images: how many.
        draws: of each image.
        mean: nats per image, a lower bound in expectation.
        draws_se: its standard error for these very images, from draws.
        rows_se: its standard error if they are a sample of more.
        elbo: of the same images, nats per image.
        effective: effective draws of the image in the middle.
    """

    images: int
    draws: int
    mean: float
    draws_se: float
    rows_se: float
    elbo: float
    effective: float


def likelihood_of(held_out: amortis.Fit, size: VaeSize, key: RandomKey) -> Likelihood:
    """Weigh draws of the encoder for some held-out images.

    Args:
        held_out: the fit on held-out images, of which the first are taken.
        size: how many, with how many draws.
        key: random key.
    """
    weigh_key, elbo_key = jax.random.split(key)
    found = amortis.log_evidence(
        held_out, key=weigh_key, method=amortis.ImportanceSampling(draws=size.importance)
    )
    count = len(found.rows)
    return Likelihood(
        count,
        size.importance,
        found.mean.mean,
        found.mean.se,
        float(found.rows.std(ddof=1)) / count**0.5,
        held_out.elbo(key=elbo_key).mean / count,
        float(sorted(found.effective.tolist())[count // 2]),
    )
