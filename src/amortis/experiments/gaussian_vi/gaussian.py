r"""A Gaussian posterior of any condition, and what the best factorized Gaussian makes of it."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import amortis


@dataclasses.dataclass(frozen=True)
class Gaussian:
    r"""$N(m, \Lambda^{-1})$ with $\Lambda = A^\top A$, normalized, so that the evidence is one.

    A and m are held in double precision but are exact in single precision: what the library sees
    in 32 bit is this target, not a rounding of it. The root is what makes that possible, since A
    has only the square root of the condition number of $\Lambda$, and $|A(u - m)|^2$ cannot be
    negative.

    Attributes:
        mean: m, shape (d,).
        root: A, shape (d, d).
    """

    mean: Float[np.ndarray, " d"]
    root: Float[np.ndarray, "d d"]

    @property
    def dimension(self) -> int:
        """The number of latents d."""
        return len(self.mean)

    @property
    def precision(self) -> Float[np.ndarray, "d d"]:
        r"""$\Lambda$."""
        return self.root.T @ self.root

    @property
    def sds(self) -> Float[np.ndarray, " d"]:
        r"""$\sqrt{(\Lambda^{-1})_{ii}}$, as norms of the rows of $A^{-1}$."""
        return np.linalg.norm(np.linalg.inv(self.root), axis=1)

    @property
    def factorized_sds(self) -> Float[np.ndarray, " d"]:
        r"""$1/\sqrt{\Lambda_{ii}}$: sds of the best factorized Gaussian, with means exact."""
        return 1.0 / np.linalg.norm(self.root, axis=0)

    @property
    def factorized_kl(self) -> float:
        r"""$KL(q^*\|p) = -\tfrac12(\log\det\Lambda - \sum_i\log\Lambda_{ii})$, in nats.

        It is also by how much the entropy of q* falls short of that of p.
        """
        return float(-self._half_log_det - np.log(self.factorized_sds).sum())

    @property
    def entropy(self) -> float:
        r"""$\tfrac d2\log 2\pi e - \tfrac12\log\det\Lambda$, in nats."""
        return 0.5 * self.dimension * math.log(2 * math.pi * math.e) - self._half_log_det

    def kl_of_factorized(
        self, mean: Float[np.ndarray, " d"], sds: Float[np.ndarray, " d"]
    ) -> float:
        r"""KL of $N(\mathrm{mean}, \mathrm{diag}(\mathrm{sds}^2))$ from the target, in nats.

        $\tfrac12[\sum_i\Lambda_{ii}s_i^2 + |A(\mu - m)|^2 - d] - \tfrac12\log\det\Lambda
        - \sum_i\log s_i$.

        Args:
            mean: $\mu$.
            sds: $s$.
        """
        spread = float(np.square(sds / self.factorized_sds).sum())
        shift = float(np.square(self.root @ (mean - self.mean)).sum())
        return (
            0.5 * (spread + shift - self.dimension) - self._half_log_det - float(np.log(sds).sum())
        )

    def model(self) -> amortis.LatentModel:
        """The target as a user binds it: a log density of one global, and no data to speak of."""
        constant = self._half_log_det - 0.5 * self.dimension * math.log(2 * math.pi)
        root, mean = (jnp.asarray(v, jnp.result_type(float)) for v in (self.root, self.mean))

        def log_density(theta: Mapping[str, Array]) -> Array:
            return constant - 0.5 * jnp.sum(jnp.square(root @ (theta["u"] - mean)))

        return amortis.from_density(
            log_density,
            lambda theta, z, x: jnp.zeros_like(x),
            jnp.zeros(1),
            globals_={"u": (self.dimension,)},
            locals_={},
        )

    @property
    def _half_log_det(self) -> float:
        return float(np.linalg.slogdet(self.root)[1])


def random_gaussian(dimension: int, condition: float, seed: int) -> Gaussian:
    r"""A randomly rotated Gaussian.

    The eigenvalues of $\Lambda$ are spread evenly on a logarithmic scale, around one.

    Args:
        dimension: d, at least two.
        condition: largest over smallest eigenvalue of $\Lambda$.
        seed: of the rotation and the mean.
    """
    generator = np.random.default_rng(seed)
    rotation = np.linalg.qr(generator.normal(size=(dimension, dimension)))[0]
    values = np.geomspace(condition**-0.5, condition**0.5, dimension)
    return Gaussian(
        mean=_in_single(generator.normal(size=dimension)),
        root=_in_single(np.sqrt(values)[:, None] * rotation.T),
    )


def correlated_gaussian(
    dimension: int, correlation: float, scales: tuple[float, float]
) -> Gaussian:
    r"""Neighbors correlated, $\mathrm{corr}(u_i, u_j) = \rho^{|i-j|}$, on scales that differ.

    Args:
        dimension: d.
        correlation: $\rho$.
        scales: sds of the first and the last latent; geometric in between.
    """
    order = np.arange(dimension)
    between = correlation ** np.abs(order[:, None] - order)
    sds = np.geomspace(*scales, dimension)
    root = np.linalg.inv(np.linalg.cholesky(sds[:, None] * between * sds))
    return Gaussian(mean=_in_single(sds * np.cos(order)), root=_in_single(root))


def _in_single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)


def moments(fit: amortis.Fit) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Means and sds of the globals of a fit, in double precision on the host."""
    mean, sd = (np.asarray(jax.device_get(part), np.float64) for part in fit.global_moments())
    return mean, sd
