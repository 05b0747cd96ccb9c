"""`to_arviz`: a fit as the tree of labeled arrays that ArviZ reads."""

import importlib.metadata
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from amortis._errors import ArgumentError
from amortis._require import require_count, require_key, require_kind
from amortis._types import RandomKey
from amortis.diagnostics import Diagnosis
from amortis.export.arviz_import import Group, as_tree, require_arviz
from amortis.export.axis_names import AxisNames, name_axes
from amortis.fitting import (
    Fit,
    constrained,
    log_densities,
    log_likelihood,
    predict,
    require_few,
    shapes_of,
)
from amortis.model import Outline, outline


def to_arviz(
    fitted: Fit,
    *,
    key: RandomKey,
    draws: int = 1000,
    coords: Mapping[str, Any] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    diagnosis: Diagnosis | None = None,
    predictive: bool = True,
) -> Any:
    r"""Lay out draws of a fit as ArviZ expects them, with plates as named axes.

    Groups of the tree: `posterior`, `posterior_predictive`, `log_likelihood`, `sample_stats`,
    `observed_data`, `constant_data` and, where a diagnosis is given, `diagnosis`. There is one
    chain. `sample_stats` holds `lp` $=\log p(\theta, z, x)$ and `lq` $=\log q(\theta, z)$ of each
    draw on the unconstrained scale, in nats, total: `lp - lq` is the log importance ratio, its mean
    the ELBO, and they are what ArviZ corrects q with:
    `arviz_stats.loo_approximate_posterior(tree, log_p=tree.sample_stats.lp,
    log_q=tree.sample_stats.lq, var_name="x")`.

    *What LOO means here.* `log_likelihood` is conditional on each datum's own latents. Leaving a
    datum out then moves its $z_n$ from the posterior to the prior, a large step where data are
    informative: k-hat is high for many data, and such numbers are not to be trusted. ArviZ warns of
    it; more draws do not help. One weight per draw also corrects all latents at once, which
    works for few rows or where q is close to the posterior.

    `diagnosis` holds `pareto_k`, `gap` and `gap_se` of each unit (nats) along the local plate, and
    `global_k` in its attributes. A model made by `from_density` does not say what its data are nor
    how they are drawn: it has `posterior`, `sample_stats` and `constant_data` only. With
    `Point()` globals `lq` counts the locals only, and LOO is given the point. After `infer`, q(θ)
    comes from other data than those in the tree, and LOO on it would be of the new data alone.

    Args:
        fitted: the fit.
        key: random key; `posterior` holds what `fitted.posterior` draws with it.
        draws: number of draws, at least one.
        coords: labels by axis, as in `{"rows": names}`, one per entry; plates are axes, others
            have ArviZ's names, such as `w_dim_0`, or those in `dims`.
        dims: names of axes by site or argument: one for each axis, or one for each that no plate
            names.
        diagnosis: what `diagnose` found of this fit.
        predictive: whether to draw replicates of the data, as `predict` does.

    Returns:
        An `xarray.DataTree`. Arguments whose values are an observed site's are not repeated in
        `constant_data`, and one named like an axis is called `name_data` there.

    Raises:
        ArgumentError: draws below one, or so many that they take more than 250 million numbers;
            names or labels that do not fit the arrays; a diagnosis of other data.
        MissingDependencyError: ArviZ is not installed.

    References:
        Magnusson et al., *Bayesian leave-one-out cross-validation for large data* (2019).

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist
        >>> import amortis
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> bound = amortis.from_numpyro(model, jax.numpy.linspace(-3.0, 5.0, 50))
        >>> fitted = amortis.fit(bound, key=jax.random.key(0))
        >>> tree = amortis.to_arviz(fitted, key=jax.random.key(1), draws=100)
        >>> dict(tree.posterior["z"].sizes)
        {'chain': 1, 'draw': 100, 'rows': 50}
    """
    require_arviz()
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    require_count("number of", "draws", draws, "ask for more")
    _require_diagnosis(fitted, diagnosis)
    known = outline(fitted.model)
    _require_room(fitted, known, draws, predictive)
    posterior = fitted.posterior(key=key, draws=draws)
    constants = _constants(known, {a for given in (dims or {}).values() for a in given})
    names = _axis_names(fitted, known, posterior, constants, dims, coords)
    log_p, log_q = log_densities(fitted, key=key, draws=draws)
    groups = {"posterior": Group(posterior, {})}
    if known.observed and predictive:
        replicates = predict(fitted, key=key, draws=draws)
        groups["posterior_predictive"] = Group(replicates, {})
    if known.observed:
        points = log_likelihood(fitted, key=key, draws=draws)
        groups["log_likelihood"] = Group(points, {"unit": "nats per point"})
    groups["sample_stats"] = Group({"lp": log_p, "lq": log_q}, {"unit": "nats, total"})
    if known.observed:
        groups["observed_data"] = Group(known.observed, {}, sampled=False)
    if constants:
        groups["constant_data"] = Group(constants, {}, sampled=False)
    if diagnosis is not None:
        groups["diagnosis"] = _diagnosis_group(diagnosis)
    tree = as_tree(
        {name: _without_slashes(group) for name, group in groups.items()},
        {_plain(name): axes for name, axes in names.dims.items()},
        names.coords,
        _attrs(fitted, log_p - log_q),
    )
    return tree


_PER_UNIT = ("pareto_k", "gap", "gap_se")


def _require_diagnosis(fitted: Fit, diagnosis: Diagnosis | None) -> None:
    if diagnosis is None:
        return
    require_kind("diagnosis", diagnosis, Diagnosis, "amortis.diagnose(fitted, key=key)")
    if diagnosis.size != fitted.model.size:
        raise ArgumentError(
            f"diagnosis is of {diagnosis.size} data but the fit has {fitted.model.size}; expected "
            f"one of this fit: pass amortis.diagnose(fitted, key=key)"
        )


def _require_room(fitted: Fit, known: Outline, draws: int, predictive: bool) -> None:
    observed = [value.shape for value in known.observed.values()]
    shapes = [*shapes_of(fitted.arrays, constrained).values(), *observed]
    if predictive:
        require_few([*shapes, *observed], draws, ", or for predictive=False" if observed else "")
    else:
        require_few(shapes, draws)


def _constants(known: Outline, axes: set[str]) -> dict[str, np.ndarray]:
    """Numbers the model was called with, but those that it observes, under names of their own."""
    taken = {*known.axes, *known.plates, *axes}
    found: dict[str, np.ndarray] = {}
    for name, value in known.arguments.items():
        if not _is_numbers(value):
            continue
        array = np.asarray(value)
        if any(
            array.shape == o.shape and np.array_equal(array, o) for o in known.observed.values()
        ):
            continue
        name = re.sub(r"\W+", "_", name).strip("_")
        while name in taken or name in found:
            name += "_data"
        found[name] = array
    return found


def _is_numbers(value: Any) -> bool:
    if isinstance(value, jax.Array):
        return not jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)
    return isinstance(value, bool | int | float | np.ndarray | np.generic)


def _axis_names(
    fitted: Fit,
    known: Outline,
    posterior: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    dims: Mapping[str, Sequence[str]] | None,
    coords: Mapping[str, Any] | None,
) -> AxisNames:
    """Names of the axes of all variables of all groups."""
    shapes = {name: value.shape[1:] for name, value in posterior.items()}
    shapes |= {name: value.shape for name, value in {**known.observed, **constants}.items()}
    plates = {**known.axes, **{n: _along(v.shape, fitted, known) for n, v in constants.items()}}
    names = name_axes(shapes, plates, dims, coords)
    site = next(iter(fitted.model.locals_))
    place = (
        known.axes[site].index(fitted.model.plate) if fitted.model.plate in known.axes[site] else 0
    )
    unit = (names.dims[site][place],)
    per_unit = dict.fromkeys(_PER_UNIT, unit)
    return AxisNames({**per_unit, **names.dims, "lp": (), "lq": ()}, names.coords)


def _along(shape: tuple[int, ...], fitted: Fit, known: Outline) -> tuple[str | None, ...]:
    """The plate along the first axis of an argument, where its length tells which."""
    if not shape:
        return ()
    fitting = [plate for plate, size in known.plates.items() if size == shape[0]]
    local = fitted.model.plate
    first = local if local in fitting else fitting[0] if len(fitting) == 1 else None
    return (first, *(None,) * (len(shape) - 1))


def _diagnosis_group(diagnosis: Diagnosis) -> Group:
    per_unit = (diagnosis.row_k, diagnosis.row_gaps, diagnosis.row_gap_ses)
    attrs = {
        "finding": diagnosis.finding.name,
        "global_k": diagnosis.global_k,
        "gap": diagnosis.gap.mean,
        "gap_se": diagnosis.gap.se,
        "unit": "nats per datum; pareto_k has none",
    }
    return Group(dict(zip(_PER_UNIT, per_unit, strict=True)), attrs, sampled=False)


def _attrs(fitted: Fit, log_ratios: Float[np.ndarray, " draws"]) -> dict[str, Any]:
    draws = len(log_ratios)
    se = float(log_ratios.std(ddof=1)) / math.sqrt(draws) if draws > 1 else math.nan
    return {
        "inference_library": "amortis",
        "inference_library_version": importlib.metadata.version("amortis"),
        "inference_function": type(fitted.guide.inference).__name__,
        "status": fitted.status.name,
        "elbo": float(log_ratios.mean()),
        "elbo_se": se,
        "sample_dims": ["chain", "draw"],
    }


def _plain(name: str) -> str:
    """A name that a tree can hold: `numpyro.handlers.scope` makes names such as `a/b`."""
    return name.replace("/", ".")


def _without_slashes(group: Group) -> Group:
    variables = {_plain(name): value for name, value in group.variables.items()}
    return Group(variables, group.attrs, group.sampled)
