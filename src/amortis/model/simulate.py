r"""Drawing data from a NumPyro model, and putting them where inference functions look for data.

A unit is simulated by running the model with $\theta$ substituted and everything along the units
drawn: $z \sim p(z\mid\theta)$, $x \sim p(x\mid z, \theta)$. What was drawn for an observed site
then takes the place of the argument that the site observes, and the inputs are made of the
arguments again. Covariates and group sizes are those of the data.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from amortis._errors import ArgumentError
from amortis._types import RandomKey, RowIndex, Sites
from amortis.model.forward_run import ForwardRun
from amortis.model.grouped_density import GroupedDensity
from amortis.model.inputs import Inputs
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_density import NumPyroDensity
from amortis.model.numpyro_joint import NumPyroJoint
from amortis.model.numpyro_sites import peel, unconstrained_bijection
from amortis.model.put_back import (
    fitting,
    inputs_of,
    not_put_back,
    observed_argument,
    read_by,
    rows_with,
    unit_arrays,
)
from amortis.model.whole_density import WholeDensity
from amortis.structure import Joint

NewArguments = Callable[[RandomKey, Mapping[str, Array]], Mapping[str, Array]]
"""A user's way from simulated values by site to new arguments by name."""


@dataclasses.dataclass(frozen=True)
class Simulation:
    """How data are drawn from a model: what is known before anything is drawn.

    Attributes:
        arguments: each observed site with the argument that it observes.
        new_arguments: the user's way to new arguments, in place of that.
        alone: whether a unit is simulated without the others.
        rows: rows of data that the simulation of a unit holds.
    """

    arguments: tuple[tuple[str, str], ...]
    new_arguments: NewArguments | None
    alone: bool
    rows: int


class SimulatedUnit(eqx.Module):
    """One unit that was simulated, among others or alone.

    Attributes:
        z: its unconstrained locals by site.
        inputs: what an inference function may read of the simulated data.
        place: the unit's position in them.
        observed: for each of the plan's sites, whether the model observes what was drawn when it is
            given the new arguments.
    """

    z: Sites
    inputs: Inputs
    place: Int[Array, ""]
    observed: Bool[Array, " sites"]


def plan_simulation(
    model: LatentModel,
    theta: Sites,
    *,
    alone: bool,
    new_arguments: NewArguments | None = None,
) -> Simulation:
    """Find out how data are drawn from a model, without drawing any.

    The argument that a site observes is the one that holds the site's values. Nothing that is drawn
    may read it.

    Args:
        model: a model made by `from_numpyro`.
        theta: unconstrained globals by site; any.
        alone: whether the inference function reads a unit's own row only; units are then simulated
            without the others where the model can be.
        new_arguments: maps a key and the values of all sites to new arguments by name, where sites
            observe transformed arguments. It is traced, and sees shapes as the model does.

    Returns:
        The plan, which `simulate_unit` takes.

    Raises:
        ArgumentError: a model that has no sampler, or data that cannot be put back.
    """
    if not isinstance(model.density, NumPyroDensity | GroupedDensity | WholeDensity):
        raise ArgumentError(
            "the model of this fit is made of log densities, from which no data can be drawn; "
            "expected one made by from_numpyro: write it in NumPyro"
        )
    alone = alone and isinstance(model.density, NumPyroDensity)
    whole = not alone or (isinstance(model.density, NumPyroDensity) and model.density.subsampled)
    everything = jnp.arange(model.size)
    arrays = unit_arrays(model, everything)
    runs: list[ForwardRun] = []

    def drawn(arrays: Mapping[str, Array]) -> dict[str, Array]:
        run = _draw(model, theta, everything, jax.random.key(0), arrays).run
        runs.append(run)
        return run.values | run.unmasked

    read = read_by(drawn, arrays)
    rows = max((a.shape[0] for a in arrays.values() if a.ndim), default=1) if whole else 1
    run = runs[-1]
    _require_sampler(run, new_arguments is not None)
    if new_arguments is not None:
        return Simulation((), new_arguments, alone, rows)
    given = _given(model, theta)
    found = [(n, observed_argument(n, given[n], run.drawn[n].size, arrays)) for n in run.drawn]
    for site, argument in found:
        readers = [name for name in read if argument in read[name]]
        if readers:
            raise not_put_back(site, f"observes {argument!r}, which {readers[0]!r} is drawn with")
    return Simulation(tuple(found), None, alone, rows)


def simulate_unit(
    model: LatentModel, plan: Simulation, theta: Sites, unit: Int[Array, ""], key: RandomKey
) -> SimulatedUnit:
    r"""Draw one unit's locals and its data given $\theta$, as the model has them.

    Args:
        model: the model.
        plan: made by `plan_simulation`.
        theta: unconstrained globals by site.
        unit: the unit whose covariates, or whose group, are simulated.
        key: random key.

    Returns:
        The unit. Traceable, so that `jax.vmap` simulates many; the caller hands what is `observed`
        to `require_observed`.
    """
    index = unit[None] if plan.alone else jnp.arange(model.size)
    draw_key, new_key = jax.random.split(key)
    drawn = _draw(model, theta, index, draw_key, None)
    place = jnp.asarray(0) if plan.alone else unit
    arrays = _replaced(plan, drawn, unit_arrays(model, index), new_key)
    again = _draw(model, theta, index, draw_key, arrays).run.given  # drawing is compiled away
    observed = [_alike(again[n], drawn.run.drawn[n], arrays[a]) for n, a in plan.arguments]
    return SimulatedUnit(
        z={name: value[place] for name, value in drawn.z.items()},
        inputs=inputs_of(model, arrays, index.shape[0]),
        place=place,
        observed=jnp.stack(observed) if observed else jnp.ones(0, bool),
    )


def require_observed(plan: Simulation, observed: Bool[np.ndarray, "simulations sites"]) -> None:
    """Refuse data that the model did not observe as they were drawn.

    Args:
        plan: made by `plan_simulation`.
        observed: of all simulated units.

    Raises:
        ArgumentError: a site observes a transformed argument.
    """
    for i, (site, argument) in enumerate(plan.arguments):
        if not observed[:, i].all():
            raise not_put_back(site, f"observes a transformed argument {argument!r}")


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """One forward run: what it saw, and the locals it drew, unconstrained, units first."""

    run: ForwardRun
    z: dict[str, Array]


def _draw(
    model: LatentModel,
    theta: Sites,
    index: RowIndex,
    key: RandomKey,
    arrays: Mapping[str, Array] | None,
) -> _Drawn:
    """Run the model forwards on these units; `arrays` take the place of its own where given."""
    density = model.density
    if isinstance(density, NumPyroDensity):
        locals_ = frozenset(density.local_sites)
        run = ForwardRun(theta, key, locals_, weighted=density.subsampled)
        density, rows = rows_with(density, model, index, arrays)
        with run:
            density.call(rows)
        axes = {n: a for n, a in density.local_sites.items() if a is not None}
        peeled = {n for n, a in axes.items() if a == 0}
    else:
        joint, terms = _joint(model)
        run = ForwardRun(theta, key, None, weighted=False)
        with run:
            terms.call({**joint.arrays, **joint.constants, **(arrays or {})})
        assert isinstance(density, GroupedDensity | WholeDensity)
        axes, peeled = dict(density.axis.sites), set[str]()
    z: dict[str, Array] = {}
    for name in model.locals_:
        function = run.functions[name]
        bijection = unconstrained_bijection(name, peel(function) if name in peeled else function)
        z[name] = jnp.moveaxis(bijection.inv(run.values[name]), axes[name], 0)
    return _Drawn(run, z)


def _joint(model: LatentModel) -> tuple[Joint, NumPyroJoint]:
    joint = model.joint()
    assert isinstance(joint.density, NumPyroJoint)
    return joint, joint.density


def _require_sampler(run: ForwardRun, is_given: bool) -> None:
    """Refuse models whose density is not that of something that can be drawn."""
    if run.rescaled:
        raise ArgumentError(
            f"the log density of site {run.rescaled[0]!r} is multiplied by a scale, so that it is "
            f"not the law of any data; expected a model without numpyro.handlers.scale"
        )
    if is_given:
        return
    if run.factors:
        raise ArgumentError(
            f"site {run.factors[0]!r} is a factor, or is observed inside `scan`, and cannot be "
            f"drawn; expected data in sample statements: pass simulate=lambda key, values: "
            f"{{...}} with the new arguments by name"
        )
    if not run.drawn:
        raise ArgumentError(
            "no observed site lies along the units, so that there are no data to draw; expected "
            "obs= in their plate: pass simulate=lambda key, values: {...} with the new arguments"
        )


@eqx.filter_jit
def _given(model: LatentModel, theta: Sites) -> dict[str, Array]:
    """What the sites along the units observe in the model's own data."""
    return _draw(model, theta, jnp.arange(model.size), jax.random.key(0), None).run.given


def _alike(given: Array, drawn: Array, argument: Array) -> Array:
    """Whether a site observes what was drawn, to the precision of the argument in between."""
    dtype = jnp.result_type(float)
    kept = jnp.ravel(drawn.astype(argument.dtype).astype(dtype))
    return jnp.allclose(jnp.ravel(given.astype(dtype)), kept, 1e-4, 1e-4, equal_nan=True)


def _replaced(
    plan: Simulation, drawn: _Drawn, arrays: dict[str, Array], key: RandomKey
) -> dict[str, Array]:
    """The arrays with simulated data in place of observed ones."""
    if plan.new_arguments is None:
        new: Mapping[str, Any] = {n: drawn.run.drawn[site] for site, n in plan.arguments}
    else:
        new = plan.new_arguments(key, dict(drawn.run.values))
    return arrays | {name: fitting(name, value, arrays) for name, value in new.items()}
