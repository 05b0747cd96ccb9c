"""`from_density`: bind log densities written by hand, for one datum."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import biject_to, constraints

from amortis._errors import (
    DataError,
    ModelRaisedError,
    UnequalLengthsError,
    UnsupportedSiteError,
    first_line,
)
from amortis._types import RandomKey, RowIndex, Rows, Sites, Values
from amortis.model.argument_form import ArgumentForm
from amortis.model.arguments import Arguments, flatten_arguments, read_arguments
from amortis.model.bound_call import BoundCall
from amortis.model.checks import check_start
from amortis.model.inputs import as_inputs, read_alike
from amortis.model.latent_model import AbstractDensity, LatentModel, LogTerms, take_rows
from amortis.model.rebinding import AbstractRebind
from amortis.structure import AbstractLogJoint, Arrays, Joint, LatentAxis, Verdict

LogPrior = Callable[[Values], Any]
LogLocal = Callable[[Values, Values, Any], Any]


def from_density(
    log_prior: LogPrior,
    log_local: LogLocal,
    data: Any,
    *,
    globals_: Mapping[str, tuple[int, ...]],
    locals_: Mapping[str, tuple[int, ...]],
    supports: Mapping[str, Any] | None = None,
) -> LatentModel:
    r"""Bind a model given as $\log p(\theta)$ and $\log p(z_n, x_n \mid \theta)$.

    The log joint is $\log p(\theta) + \sum_n \log p(z_n, x_n\mid\theta)$; both functions see
    constrained values, and log determinants of the bijections are added here.

    Args:
        log_prior: maps globals by site to a scalar in nats.
        log_local: maps globals, the locals of one row, and one row of the data (the pytree without
            its first axis) to a scalar in nats. It is vectorized over rows.
        data: a pytree of arrays, all with N entries on their first axis.
        globals_: constrained shape of each global site.
        locals_: constrained shape of each local site, for one row; empty where all latents are
            global.
        supports: NumPyro constraints by site; the reals where a site is left out.

    Returns:
        The model bound to its data.

    Raises:
        DataError: empty, non-finite or object arrays, or unequal leading lengths.
        ModelError: no sites, a function that raises or does not return a scalar, or a log
            density that is not finite at the start.

    Example:
        >>> import jax.numpy as jnp
        >>> model = from_density(
        ...     lambda theta: -0.5 * theta["mu"] ** 2,
        ...     lambda theta, z, x: -0.5 * (z["z"] - theta["mu"]) ** 2 - 0.5 * (x - z["z"]) ** 2,
        ...     jnp.arange(5.0),
        ...     globals_={"mu": ()},
        ...     locals_={"z": ()},
        ... )
        >>> model.size
        5
    """
    if not globals_ and not locals_:
        raise UnsupportedSiteError(
            "globals_ and locals_ are empty; expected at least one site with its shape, as in "
            "{'z': ()}"
        )
    _check_names(globals_, locals_, supports or {})
    rows, inputs, input_names, size = _read_rows(data)
    known = dict(supports or {})
    bijections = {n: biject_to(known.get(n, constraints.real)) for n in (*globals_, *locals_)}
    free = {n: tuple(bijections[n].inverse_shape(s)) for n, s in globals_.items()}
    local = {n: tuple(bijections[n].inverse_shape(s)) for n, s in locals_.items()}
    model = LatentModel(
        density=CallableDensity(log_prior, log_local, _Bijections(bijections), free, local),
        data=rows,
        inputs=inputs,
        globals_=free,
        locals_=local,
        size=size,
        plate="rows",
        input_names=input_names,
        verdict=None if locals_ else Verdict.no_locals("locals_ is empty"),
    )
    _check_runs(model)
    check_start(model, _site_log_probs(model))
    form = ArgumentForm.of(read_arguments(_only_data, (data,), {}), size)
    return dataclasses.replace(model, rebind=_Rebind(form, model))


def _only_data(data: Any) -> None:
    """Stands for a function of the data, for their names in messages."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Rebind(AbstractRebind):
    """Binds the same densities to other rows.

    Attributes:
        form: what the data looked like.
        model: bound to them.
    """

    form: ArgumentForm
    model: LatentModel
    by_rows: bool = True

    def flatten(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        if len(args) != 1 or kwargs:
            raise DataError(
                f"new data came as {len(args)} positional and {len(kwargs)} keyword arguments; "
                f"expected one, the data as from_density takes them: pass a pytree of arrays"
            )
        return flatten_arguments(_only_data, args, kwargs)

    def bind(self, arguments: Arguments) -> LatentModel:
        args, kwargs = arguments.call_parts()
        rows, inputs, input_names, size = _read_rows(*args, **kwargs)
        model = dataclasses.replace(
            self.model, data=rows, inputs=inputs, input_names=input_names, size=size, rebind=self
        )
        _check_runs(model)
        check_start(model, _site_log_probs(model))
        return model

    def refilled(self, model: LatentModel, arguments: Arguments) -> LatentModel:
        (data,) = arguments.call_parts()[0]
        inputs = read_alike(arguments.named_arrays(), model.size, model.input_names)
        return dataclasses.replace(model, data=data, inputs=inputs)


def _read_rows(data: Any) -> tuple[Rows, Array, tuple[str, ...], int]:
    """Data of one length, the inputs made of them, the names of those, and the length."""
    arguments = read_arguments(_only_data, (data,), {})
    lengths = arguments.lengths()
    if len(set(lengths.values())) != 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items()) or "none"
        raise UnequalLengthsError(
            f"the data have leading lengths: {listed}; expected arrays that share N rows on their "
            f"first axis: align the arrays"
        )
    (size,) = set(lengths.values())
    template, arrays, _ = arguments.split(size)
    if template.plain:
        raise DataError(f"data hold {template.plain[0]!r}; expected arrays only: close over it")
    rows = jax.tree.unflatten(template.structure, arrays)[0][0]
    inputs, input_names = as_inputs(arrays, template.row_names(), size)
    return rows, inputs, input_names, size


def _names(data: Rows) -> tuple[str, ...]:
    """One name per leaf of the rows, as in messages."""
    return read_arguments(lambda data: data, (data,), {}).names


def _check_names(
    globals_: Mapping[str, Any], locals_: Mapping[str, Any], supports: Mapping[str, Any]
) -> None:
    both = sorted(set(globals_) & set(locals_))
    unknown = sorted(set(supports) - set(globals_) - set(locals_))
    if both:
        raise UnsupportedSiteError(
            f"site {both[0]!r} is in globals_ and in locals_; expected each site once: rename one"
        )
    if unknown:
        raise UnsupportedSiteError(
            f"supports names {unknown[0]!r}; expected one of the sites {[*globals_, *locals_]}: "
            f"correct the name"
        )


class _Bijections(eqx.Module):
    """Bijections by site; compared by identity, since constraints carry arrays."""

    by_site: dict[str, Any] = eqx.field(static=True)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class CallableDensity(AbstractDensity):
    """Log densities written for one datum, vectorized over rows."""

    prior: LogPrior = eqx.field(static=True)
    local: LogLocal = eqx.field(static=True)
    bijections: _Bijections = eqx.field(static=True)
    globals_: Mapping[str, tuple[int, ...]] = eqx.field(static=True)
    locals_: Mapping[str, tuple[int, ...]] = eqx.field(static=True)

    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        values, log_det = self._constrained(theta)

        def one(z_n: Sites, row: Any) -> Array:
            local_values, local_log_det = self._constrained(z_n)
            return jnp.asarray(self.local(values, local_values, row)) + local_log_det

        return LogTerms(
            jnp.asarray(self.prior(values), jnp.result_type(float)),
            log_det,
            jax.vmap(one)(dict(z), rows),
        )

    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        del rows  # supports do not depend on the data here
        values = self._constrained(theta)[0]
        return values | jax.vmap(lambda z_n: self._constrained(z_n)[0])(dict(z)) if z else values

    def take(self, data: Rows, index: RowIndex) -> Rows:
        return take_rows(data, index)

    def joint(self, data: Rows) -> Joint:
        leaves, structure = jax.tree.flatten(data)
        names = _names(data)
        size = leaves[0].shape[0]

        def rows(arrays: Arrays) -> Rows:
            return jax.tree.unflatten(structure, [arrays[n] for n in names])

        return Joint(
            density=_JointOfDensity(self, rows),
            latents={**self.globals_, **{n: (size, *s) for n, s in self.locals_.items()}},
            axes=(LatentAxis("rows", size, dict.fromkeys(self.locals_, 0), declared=True),),
            arrays=dict(zip(names, leaves, strict=True)),
            constants={},
        )

    def bound_call(self, data: Rows) -> BoundCall:
        leaves = jax.tree_util.tree_leaves_with_path(data)
        named = {f"data{jax.tree_util.keystr(path)}": leaf for path, leaf in leaves}
        return BoundCall(None, named, ())

    def _constrained(self, values: Sites) -> tuple[dict[str, Array], Array]:
        constrained, log_det = {}, jnp.zeros(())
        for name, value in values.items():
            bijection = self.bijections.by_site[name]
            constrained[name] = bijection(value)
            log_det += jnp.sum(bijection.log_abs_det_jacobian(value, constrained[name]))
        return constrained, log_det


@dataclasses.dataclass(frozen=True)
class _JointOfDensity(AbstractLogJoint):
    """A density over arrays; it has no sampler of the prior."""

    density: CallableDensity
    rows: Callable[[Arrays], Rows]

    def elements(self, latents: Sites, arrays: Arrays) -> dict[str, tuple[Array, ...]]:
        theta = {n: v for n, v in latents.items() if n in self.density.globals_}
        z = {n: v for n, v in latents.items() if n not in self.density.globals_}
        parts = self.density.log_terms(theta, z, self.rows(arrays))
        return {
            "log_prior": (parts.prior, parts.log_det),
            "log_local": tuple(jax.tree.leaves(parts.local)),
        }

    def draw_prior(self, key: RandomKey, arrays: Arrays) -> None:
        del key, arrays


def _check_runs(model: LatentModel) -> None:
    try:
        theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
        terms = jax.eval_shape(model.log_terms, theta, model.zeros(model.size))
    except Exception as error:
        raise ModelRaisedError(
            f"log_prior or log_local raised {type(error).__name__} on its data: {first_line(error)}"
        ) from error
    if terms.prior.shape != () or terms.local.shape != (model.size,):
        raise ModelRaisedError(
            f"log_prior gave shape {terms.prior.shape} and log_local {terms.local.shape[1:]}; "
            f"expected scalars, for one datum: sum over the axes of its event"
        )


def _site_log_probs(model: LatentModel) -> Callable[[Sites, Sites, Rows], dict[str, Array]]:
    def evaluate(theta: Sites, z: Sites, rows: Rows) -> dict[str, Array]:
        terms = model.log_terms(theta, z, rows)
        return {"log_prior": terms.prior, "log_local": terms.local}

    return evaluate
