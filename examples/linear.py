"""The linear model of Margossian & Blei (2024), whose optimum is known in closed form.

    amortis fit examples/linear.py:model --data rows.csv --inference polynomial:1

`rows.csv` needs a column `x`. With a flat prior on theta, q(theta) = N(mean(x), sigma^2 / N) and
q(z_n) = N(tau (x_n - mean(x)) / (sigma^2 + tau^2), sigma^2 / (sigma^2 + tau^2)).
"""

import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float


def model(x: Float[Array, " n"], tau: float = 1.155, sigma: float = 2.43) -> None:
    r"""$x_n = \theta + \tau z_n + \sigma\epsilon_n$ with $z_n \sim N(0, 1)$ and $\theta$ flat."""
    theta = numpyro.sample("theta", dist.ImproperUniform(dist.constraints.real, (), ()))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(theta + tau * z, sigma), obs=x)
