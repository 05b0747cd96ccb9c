r"""The exact posterior and its best Gaussians, by quadrature in (log γ, log β, log φ⁻¹).

The trapezoidal rule on an even grid that ends in nothing is exact to many digits once its step is
well below the width of the integrand: here a sixth of a standard deviation.
"""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float

from amortis.experiments.sir.density import log_joint
from amortis.experiments.sir.quantities import Summaries, of_weighted

_CENTER = np.array([-0.616, 0.5505, -2.12])
_SD = np.array([0.084, 0.0305, 0.50])
_WIDTH, _NODES = 7.0, 85
"""The grid ends so many posterior standard deviations from its center; nodes per axis."""

_ITERATIONS, _SETTLED = 200, 1e-12
"""Most steps to a best Gaussian; gain of one, in nats, at which they end."""

Vector = Float[np.ndarray, " 3"]
Matrix = Float[np.ndarray, "3 3"]


@dataclasses.dataclass(frozen=True)
class BestGaussian:
    """The Gaussian with the largest ELBO in its class.

    Attributes:
        mean: of (log γ, log β, log φ⁻¹).
        covariance: of the same.
        kl: KL(q‖p), in nats.
    """

    mean: Vector
    covariance: Matrix
    kl: float


@dataclasses.dataclass(frozen=True)
class ExactSir:
    """The posterior on a grid.

    Attributes:
        axes: nodes of log γ, log β and log φ⁻¹.
        log_joint: log p(cases, u) at the nodes, in nats, total.
        evidence: log p(cases), in nats, total.
        summaries: of the five quantities.
    """

    axes: tuple[Float[np.ndarray, " nodes"], ...]
    log_joint: Float[np.ndarray, "nodes nodes nodes"]
    evidence: float
    summaries: Summaries

    @property
    def weights(self) -> Float[np.ndarray, "nodes nodes nodes"]:
        """Posterior probabilities of the nodes."""
        return np.exp(self.log_joint - self.evidence) * self._cell

    def marginal(self, axis: int) -> Float[np.ndarray, " nodes"]:
        """Posterior density of one logarithm at the nodes of its axis."""
        others = tuple(other for other in range(3) if other != axis)
        return self.weights.sum(axis=others) / _step(self.axes[axis])

    def moments(self) -> tuple[Vector, Matrix]:
        """Mean and covariance of the logarithms."""
        weights = self.weights.ravel()
        nodes = self._points()
        mean = weights @ nodes
        return mean, (nodes - mean).T @ (weights[:, None] * (nodes - mean))

    def kl(self, mean: Vector, covariance: Matrix) -> float:
        """KL(q‖p) of a Gaussian of the logarithms, in nats.

        Args:
            mean: of q.
            covariance: of q; where q is wider than the grid the result is meaningless.
        """
        weights, _ = self._gaussian(mean, covariance)
        entropy = 0.5 * float(np.linalg.slogdet(2.0 * math.pi * math.e * covariance)[1])
        return self.evidence - float(weights @ self.log_joint.ravel()) - entropy

    def mean_field(self) -> BestGaussian:
        """The Gaussian with independent logarithms that has the largest ELBO."""
        return self._coarser()._best(np.eye(3))

    def full_rank(self) -> BestGaussian:
        """The Gaussian that has the largest ELBO."""
        return self._coarser()._best(np.ones((3, 3)))

    def _coarser(self) -> "ExactSir":
        """Every other node, which is fine enough for a Gaussian nearly as wide."""
        axes = tuple(axis[::2] for axis in self.axes)
        return dataclasses.replace(self, axes=axes, log_joint=self.log_joint[::2, ::2, ::2])

    def _best(self, pattern: Matrix) -> BestGaussian:
        r"""Solve $E_q[\nabla f] = 0$ and $\Sigma^{-1} = -E_q[\nabla^2 f]$, f the log joint.

        Both expectations by parts, so that only values of f enter: $E[\nabla f] = \Sigma^{-1}
        E[(u-m)f]$ and $E[\nabla^2 f] = \Sigma^{-1}(E[(u-m)(u-m)^\top f] - \Sigma E[f])\Sigma^{-1}$.

        Args:
            pattern: one for entries of the precision that may differ from zero.
        """
        mean, covariance = self.moments()
        covariance, values = np.diag(np.diagonal(covariance)), self.log_joint.ravel()
        for _ in range(_ITERATIONS):
            weights, apart = self._gaussian(mean, covariance)
            weighted = weights * (values - weights @ values)
            inverse = np.linalg.inv(covariance)
            curvature = inverse @ (apart.T @ (weighted[:, None] * apart)) @ inverse
            slope = inverse @ (weighted @ apart)
            # Half a step: whole ones swing, as the curvature depends on the mean.
            covariance = np.linalg.inv(0.5 * (inverse - curvature * pattern))
            moved = 0.5 * covariance @ slope
            mean = mean + moved
            if moved @ slope < _SETTLED:
                break
        return BestGaussian(mean, covariance, self.kl(mean, covariance))

    def _gaussian(
        self, mean: Vector, covariance: Matrix
    ) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "points 3"]]:
        """Probabilities of a Gaussian at the nodes, and the nodes around its mean."""
        apart = self._points() - mean
        exponent = -0.5 * np.einsum("ni,ni->n", apart @ np.linalg.inv(covariance), apart)
        log_volume = 0.5 * float(np.linalg.slogdet(2.0 * math.pi * covariance)[1])
        return np.exp(exponent - log_volume) * self._cell, apart

    def _points(self) -> Float[np.ndarray, "points 3"]:
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, 3)

    @property
    def _cell(self) -> float:
        return math.prod(_step(axis) for axis in self.axes)


@functools.cache
def exact_sir() -> ExactSir:
    """Tabulate the posterior; a second of work, done once."""
    axes = tuple(
        np.linspace(center - _WIDTH * sd, center + _WIDTH * sd, _NODES)
        for center, sd in zip(_CENTER, _SD, strict=True)
    )
    values = log_joint(*axes)
    top = float(values.max())
    cell = math.prod(_step(axis) for axis in axes)
    evidence = top + math.log(np.exp(values - top).sum() * cell)
    weights = np.exp(values - evidence) * cell
    return ExactSir(axes, values, evidence, _summaries(axes, weights))


def _summaries(
    axes: tuple[np.ndarray, ...], weights: Float[np.ndarray, "nodes nodes nodes"]
) -> Summaries:
    gamma, beta, phi_inv = (np.exp(axis) for axis in axes)
    of_gamma = weights.sum(axis=(1, 2))
    ratio = beta / gamma[:, None]
    return {
        "gamma": of_weighted(gamma, of_gamma),
        "beta": of_weighted(beta, weights.sum(axis=(0, 2))),
        "phi_inv": of_weighted(phi_inv, weights.sum(axis=(0, 1))),
        "T": of_weighted(1.0 / gamma, of_gamma),
        "R0": of_weighted(ratio.ravel(), weights.sum(axis=2).ravel()),
    }


def _step(axis: Float[np.ndarray, " nodes"]) -> float:
    return float(axis[1] - axis[0])
