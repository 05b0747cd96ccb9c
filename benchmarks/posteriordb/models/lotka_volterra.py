"""Hares and lynxes, by the predator-prey equations of Lotka and Volterra.

The equations are solved for the logarithms, (log u)' = α - β v and (log v)' = -γ + δ u, so that no
population ends below zero. In 32 bits the solution is within 1e-4 of exact around the posterior,
and within 3e-3 where NumPyro starts its chains. Of points drawn from N(0, 3²) on the unconstrained
scale, the solver gives up on one in 20.

Carpenter (2018), Predator-prey population dynamics: the Lotka-Volterra model in Stan.
"""

import diffrax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from .sensitivities import with_sensitivities

PRIOR_MEAN, PRIOR_SD = np.array([1.0, 0.05, 1.0, 0.05]), np.array([0.5, 0.05, 0.5, 0.05])
TOLERANCE, MOST_STEPS = 1e-6, 1000
LARGEST = 30.0
"""Logarithms are cut here within the equations, that a step that is tried and refused overflows
neither itself nor in its derivatives."""


def lotka_volterra(y_init, y):
    """Pelts of a year zero and of every year thereafter.

    The years are no argument, so that whoever tries the model on other data cannot disorder them.
    """
    years = jnp.arange(1.0, len(y) + 1.0)
    normal = dist.TruncatedNormal(PRIOR_MEAN, PRIOR_SD, low=0.0)
    theta = numpyro.sample("theta", normal.to_event(1))
    sigma = numpyro.sample("sigma", dist.LogNormal(-1.0, 1.0).expand([2]).to_event(1))
    z_init = numpyro.sample("z_init", dist.LogNormal(np.log(10.0), 1.0).expand([2]).to_event(1))
    numpyro.sample("y_init", dist.LogNormal(jnp.log(z_init), sigma).to_event(1), obs=y_init)
    found = _solve(jnp.concatenate([theta, jnp.log(z_init)]), years)
    solved = jnp.isfinite(found).all()
    log_z = jnp.where(solved, found, 0.0)
    numpyro.factor("solved", jnp.where(solved, 0.0, -jnp.inf))
    with numpyro.plate("years", len(y)):
        numpyro.sample("y", dist.LogNormal(log_z, sigma).to_event(1), obs=y)


@with_sensitivities
def _solve(parameters, times):
    """Logarithms of the populations at the times, infinite where the solver gave up."""
    theta, log_z_init = parameters[:4], parameters[4:]
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_growth),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=log_z_init,
        args=theta,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        adjoint=diffrax.ForwardMode(),
        max_steps=MOST_STEPS,
        throw=False,
    )
    return jnp.where(solution.result == diffrax.RESULTS.successful, solution.ys, jnp.inf)


def _growth(time, log_z, theta):
    prey, predators = jnp.exp(jnp.minimum(log_z, LARGEST))
    return jnp.stack([theta[0] - theta[1] * predators, theta[3] * prey - theta[2]])
