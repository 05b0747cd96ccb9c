r"""The SIR equations, solved with sensitivities.

With s = log S and i = log I they read $s' = -\beta e^i/N$, $i' = \beta e^s/N - \gamma$, so that no
count ends below zero. Derivatives in (γ, β) are carried along with the solution: with two
parameters that is cheaper to compile and to run than going back through the solver's steps, and it
can be differentiated again in forward mode, as Hessians need it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis.experiments.sir.data import BOYS, DAYS, INFECTED
from amortis.experiments.sir.diffrax_import import diffrax_module

TOLERANCE, MOST_STEPS = 1e-6, 200
"""Relative and absolute tolerance of the logarithms; steps after which the solver gives up."""

LARGEST = 20.0
"""Logarithms are cut here within the equations, that a step that is tried and refused overflows
neither itself nor in its derivatives; log N is 6.6."""


def log_infected(rates: Float[Array, " 2"]) -> Float[Array, " days"]:
    """Log of the infected on days 1, …, 14.

    Args:
        rates: γ and β, both positive, per day.

    Returns:
        Logarithms of counts; infinite, with zero derivatives, where the solver gave up.
    """
    return _log_infected(rates)


def _integrate(rates: Float[Array, " 2"]) -> Float[Array, " days"]:
    dfx = diffrax_module()
    days = jnp.asarray(DAYS, rates.dtype)
    solution = dfx.diffeqsolve(
        dfx.ODETerm(_slope),
        dfx.Tsit5(),
        t0=0.0,
        t1=float(DAYS[-1]),
        dt0=None,
        y0=jnp.log(jnp.asarray([BOYS - INFECTED, INFECTED], rates.dtype)),
        args=rates,
        saveat=dfx.SaveAt(ts=days),
        stepsize_controller=dfx.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        adjoint=dfx.ForwardMode(),
        max_steps=MOST_STEPS,
        throw=False,
    )
    found = solution.ys[:, 1]
    solved = (solution.result == dfx.RESULTS.successful) & jnp.isfinite(found).all()
    # Selected here, before derivatives are multiplied: those of a failure may be NaN.
    return jnp.where(solved, found, jnp.inf)


def _slope(time: Any, state: Float[Array, " 2"], rates: Float[Array, " 2"]) -> Float[Array, " 2"]:
    del time
    susceptible, infected = jnp.exp(jnp.minimum(state, LARGEST)) / BOYS
    return jnp.stack([-rates[1] * infected, rates[1] * susceptible - rates[0]])


@jax.custom_jvp
def _solved(rates: Float[Array, " 2"]) -> Float[Array, " days"]:
    return _integrate(rates)


@_solved.defjvp
def _tangent(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    def twice(rates: Float[Array, " 2"]) -> tuple[Array, Array]:
        solution = _integrate(rates)
        return solution, solution

    # The whole Jacobian, so that reverse mode can transpose its product with the tangent.
    slopes, solution = jax.jacfwd(twice, has_aux=True)(primals[0])
    return solution, slopes @ tangents[0]


_log_infected = jax.jit(_solved)  # compiled once, also where a model is run op by op
