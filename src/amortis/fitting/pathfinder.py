"""`Pathfinder`: normals read off the way of L-BFGS to the mode, of one path or of several."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from amortis._errors import ArgumentError
from amortis._require import require_count, require_positive
from amortis._types import RandomKey
from amortis.families import FullRank, Mixture
from amortis.fitting.approximation import AbstractApproximation, Found, LogDensity
from amortis.optimise import PATHS, Paths, Status, pathfinder, random_starts


class Pathfinder(AbstractApproximation):
    r"""Pathfinder and multi-path Pathfinder, by BlackJAX.

    Every path starts uniformly in (-2, 2) and keeps the normal of the largest ELBO along its way.
    q of a single path is that normal; of several it is their mixture, each weighted with the share
    of its draws in all importance weights. `fit.found` holds the paths: their normals, ELBOs and
    draws, and which of them failed; `amortis.resample` gives the draws that multi-path Pathfinder
    resamples with Pareto smoothed weights.

    The key is split in two, the first for the starts, the second what BlackJAX is given.

    Attributes:
        paths: number of paths, at least one.
        draws: draws from the normal of each path.
        history: steps that L-BFGS remembers.
        iterations: most iterations of L-BFGS.
        tolerance: relative change of the log density at which L-BFGS stops.
        elbo_draws: draws for the ELBO at each point of a path, which is most of the cost; by
            default as many as `draws`, the only choice that BlackJAX's own multi-path knows.

    Raises:
        ArgumentError: a number below one, or a tolerance that is not positive.

    References:
        Zhang, Carpenter, Gelman & Vehtari, *Pathfinder: parallel quasi-Newton variational
        inference* (2022).
    """

    paths: int = eqx.field(static=True, default=PATHS)
    draws: int = eqx.field(static=True, default=100)
    history: int = eqx.field(static=True, default=6)
    iterations: int = eqx.field(static=True, default=50)
    tolerance: float = eqx.field(static=True, default=1e-8)
    elbo_draws: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        for name in ("paths", "draws", "history", "iterations"):
            require_count("Pathfinder", name, getattr(self, name))
        if self.elbo_draws is not None:
            require_count("Pathfinder", "elbo_draws", self.elbo_draws)
        require_positive("Pathfinder", "tolerance", self.tolerance)

    def find(self, log_density: LogDensity, dimension: int, *, key: RandomKey) -> Found:
        """Run all paths.

        Args:
            log_density: of unconstrained vectors, in nats up to a constant.
            dimension: length of the vectors.
            key: random key.

        Raises:
            ArgumentError: no dimensions.
            MissingDependencyError: BlackJAX is not installed.
            NonFiniteDensityError: all paths failed.
        """
        if dimension < 1:
            raise ArgumentError("Pathfinder(...) is for a model without latents; expected some")
        start_key, path_key = jax.random.split(key)
        starts = random_starts(start_key, self.paths, dimension)
        found = pathfinder(
            jax.jit(lambda vector: log_density(vector)),
            starts if self.paths > 1 else starts[0],
            path_key,
            draws=self.draws,
            elbo_draws=self.draws if self.elbo_draws is None else self.elbo_draws,
            history=self.history,
            most_iterations=self.iterations,
            tolerance=self.tolerance,
        )
        kept = np.flatnonzero(~np.asarray(found.failed))
        status = Status.CONVERGED
        if np.asarray(found.cut_short)[kept].all():
            status = Status.ITERATIONS_EXHAUSTED
        evaluations = self.paths * self.iterations
        each = [FullRank().gaussian(found.means[i], found.roots[i]) for i in kept]
        if len(kept) == 1:
            return Found(FullRank(), each[0], status, evaluations, found)
        mixture = Mixture(len(kept))
        raw = mixture.of(jnp.asarray(_shares(found)[kept], each[0].dtype), jnp.stack(each))
        return Found(mixture, raw, status, evaluations, found)


def _shares(paths: Paths) -> Float[np.ndarray, " paths"]:
    """The share of each path's draws in all importance weights, truncated; at least a trace."""
    log_weights = np.asarray(paths.log_weights, np.float64)
    weights = np.exp(log_weights - log_weights.max())
    # Ionides (2008): at the mean times the root of their number.
    weights = np.minimum(weights, weights.mean() * np.sqrt(weights.size))
    share = weights.sum(axis=1) / weights.sum()
    return np.maximum(share, 1e-6)
