r"""The best q of a location-scale family by quadrature of the exact KL, in double precision.

The library's factors are Gaussian; what a Laplace or a Student-t q would find is found here.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import optimize

from amortis.experiments.gaussian_vi.shapes import Shape, student

T_DEGREES = 5.0
"""Degrees of freedom of the Student-t q: finite KL from every target whose tails are no lighter
than the Gaussian's."""

BASES: dict[str, Callable[[Array], Array]] = {
    "Gaussian": lambda t: -0.5 * t * t - 0.5 * math.log(2 * math.pi),
    "Laplace": lambda t: -jnp.abs(t) - math.log(2),
    "Student t": lambda t: student(t, T_DEGREES),
}
"""Log densities k of the bases, even and at scale one."""

_NODES = {1: 160, 2: 60}
"""Of half a line, by number of dimensions."""

_REACH, _LEAST = 3.4, 1e-22
"""Extent of the rule in its own variable, and smallest weight of a node, relative, that counts."""


@dataclasses.dataclass(frozen=True)
class Located:
    r"""The best $q(u) = \prod_i k((u_i - \nu_i)/s_i)/s_i$.

    Attributes:
        location: $\nu$.
        scale: s.
        kl: KL(q||p), in nats.
    """

    location: tuple[float, ...]
    scale: tuple[float, ...]
    kl: float


def located(shape: Shape, base: str, starts: Sequence[tuple[float, ...]]) -> tuple[Located, ...]:
    r"""Minimise $KL(q\|p) = -\sum_i\log s_i - dH[k] - E_k[\log p(\nu + s\odot t)]$ from starts.

    Args:
        shape: the target p.
        base: name of k, in `BASES`.
        starts: first locations.

    Returns:
        The optimum that each start leads to; none where no q of the family has a finite KL.
    """
    if base == "Student t" and shape.name == "log-gamma":
        return ()  # E_q[exp(u)] is infinite: powers are heavier than exponentials
    dimension = len(shape.mean)
    found: list[Located] = []
    with jax.enable_x64(True):
        nodes, weights, entropy = _rule(base, dimension)
        objective = _objective(shape, nodes, weights)
        for start in starts:
            first = np.concatenate([start, np.log(shape.spread) - 1.0])
            options = {"gtol": 1e-9, "maxiter": 500}
            outcome = optimize.minimize(objective, first, jac=True, method="BFGS", options=options)
            where = np.asarray(outcome.x)
            location = tuple(float(v) for v in where[:dimension])
            scale = tuple(float(v) for v in np.exp(where[dimension:]))
            found.append(Located(location, scale, float(outcome.fun) - dimension * entropy))
    return tuple(found)


def _objective(
    shape: Shape, nodes: np.ndarray, weights: np.ndarray
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """KL without the entropy of the base, and its gradient."""
    dimension = nodes.shape[1]

    @jax.jit
    def value_and_slope(point: Array) -> tuple[Array, Array]:
        def kl(point: Array) -> Array:
            location, log_scale = point[:dimension], point[dimension:]
            every = jax.vmap(shape.log_density)(location + jnp.exp(log_scale) * nodes)
            return -jnp.sum(log_scale) - jnp.dot(weights, every)

        return jax.value_and_grad(kl)(point)

    def on_host(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = value_and_slope(jnp.asarray(point))
        return float(value), np.asarray(slope)

    return on_host


@functools.cache
def _rule(
    base: str, dimension: int
) -> tuple[Float[np.ndarray, "nodes d"], Float[np.ndarray, " nodes"], float]:
    r"""Nodes and weights of expectations under the base, and its entropy in one dimension, in nats.

    $t = \pm\exp(\tfrac\pi2\sinh v)$ with equal steps in v: the two halves of the line apart, since
    the Laplace density has a kink at zero. Weights are scaled to a sum of one.
    """
    steps = np.linspace(-_REACH, _REACH, _NODES[dimension])
    half = np.exp(0.5 * np.pi * np.sinh(steps))
    stretch = 0.5 * np.pi * np.cosh(steps) * half
    log_density = np.asarray(BASES[base](jnp.asarray(half)))
    weights = np.exp(log_density) * stretch
    kept = weights > _LEAST * weights.max()
    half, weights = half[kept], weights[kept]
    entropy = -float(weights @ log_density[kept] / weights.sum())
    line, mass = np.concatenate([-half[::-1], half]), np.concatenate([weights[::-1], weights])
    mass = mass / mass.sum()
    nodes = np.stack(np.meshgrid(*[line] * dimension, indexing="ij"), axis=-1)
    product = functools.reduce(np.multiply.outer, [mass] * dimension)
    return nodes.reshape(-1, dimension), product.ravel(), entropy
