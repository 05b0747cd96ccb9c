r"""One family of models whose factorized optimum is known in closed form at any size.

$\theta \in R^d$ flat; $z_j \sim N(0, I_d)$ for each unit; $x_i \sim N(\theta + \tau z_{g(i)},
\sigma^2 I_d)$ for each of its m rows. With m = 1 and d = 1 it is the paper's linear model.
"""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from amortis.experiments.linear import SIGMA, TAU


def rows_model(x: Array) -> None:
    """A unit for each row of x, shape (N,) or (N, d)."""
    shape, event = x.shape[1:], x.ndim - 1
    theta = numpyro.sample("theta", dist.ImproperUniform(dist.constraints.real, (), shape))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(shape), 1.0).to_event(event))
        numpyro.sample("x", dist.Normal(theta + TAU * z, SIGMA).to_event(event), obs=x)


def groups_model(x: Array, group: Array, units: int) -> None:
    """A unit for each group of rows; x has shape (rows,)."""
    theta = numpyro.sample("theta", dist.ImproperUniform(dist.constraints.real, (), ()))
    with numpyro.plate("groups", units):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        numpyro.sample("x", dist.Normal(theta + TAU * z[group], SIGMA), obs=x)


def simulate(units: int, members: int, dimension: int, seed: int) -> Float[np.ndarray, "u m d"]:
    """Rows by unit, in 32 bit."""
    generator = np.random.default_rng(seed)
    z = generator.standard_normal((units, 1, dimension), np.float32)
    noise = generator.standard_normal((units, members, dimension), np.float32)
    return np.float32(TAU) * z + np.float32(SIGMA) * noise


@dataclasses.dataclass(frozen=True)
class Closed:
    """What the ELBO of any factorized q needs of the data, and its optimum.

    Attributes:
        units: units of all data.
        members: rows of each unit.
        mean: mean of all rows, shape (d,).
        own: means of the rows of the units that are looked at, shape (looked, d).
        within: sum of squares of their rows around these.
    """

    units: int
    members: int
    mean: Float[np.ndarray, " d"]
    own: Float[np.ndarray, "looked d"]
    within: float

    @classmethod
    def of(cls, x: Float[np.ndarray, "u m d"], look_at: int) -> "Closed":
        """Of data by unit; the first units are looked at and stand for all."""
        few = x[:look_at].astype(np.float64)
        own = few.mean(axis=1)
        within = float(np.square(few - own[:, None]).sum())
        mean = x.mean(axis=(0, 1), dtype=np.float64)
        return cls(len(x), x.shape[1], mean, own, within)

    def elbo(
        self,
        theta: Float[np.ndarray, " d"],
        theta_sd: Float[np.ndarray, " d"],
        z: Float[np.ndarray, "looked d"],
        z_sd: Float[np.ndarray, "looked d"],
    ) -> float:
        """ELBO in nats per row, from the units that are looked at.

        $E_q$ of the squared error of a row is that of the means plus $s_θ^2 + τ^2 s_j^2$; the
        entropy of θ counts once among all rows.
        """
        looked, d = self.own.shape
        rows = looked * self.members
        spread = np.square(theta_sd).sum() * looked + np.square(TAU * z_sd).sum()
        squares = self.within + self.members * (
            float(np.square(self.own - theta - TAU * z).sum()) + float(spread)
        )
        log_two_pi = math.log(2 * math.pi)
        value = -0.5 * squares / SIGMA**2 - rows * d * (math.log(SIGMA) + 0.5 * log_two_pi)
        value += -0.5 * float((np.square(z) + np.square(z_sd)).sum()) + float(np.log(z_sd).sum())
        value += 0.5 * looked * d  # entropy and prior of z: their log 2 pi cancel
        entropy = float(np.log(theta_sd).sum()) + 0.5 * d * (log_two_pi + 1)
        return value / rows + entropy / (self.units * self.members)

    def best(self) -> float:
        r"""Of the optimum: $q^*(\theta) = N(\bar x, σ^2/Nm)$, all z_j of precision $1 + mτ^2/σ^2$.

        The mean of $q^*(z_j)$ is $mτ(\bar x_j - \bar x)/σ^2$ over that precision.
        """
        precision = 1 + self.members * TAU**2 / SIGMA**2
        z = self.members * TAU * (self.own - self.mean) / SIGMA**2 / precision
        sd = np.full_like(self.mean, SIGMA / math.sqrt(self.units * self.members))
        return self.elbo(self.mean, sd, z, np.full_like(z, precision**-0.5))
