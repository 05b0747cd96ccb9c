r"""`to_arviz`: a fit as the tree of labeled arrays that ArviZ reads.

Groups: `posterior`, `posterior_predictive`, `log_likelihood`, `sample_stats`, `observed_data`,
`constant_data` and, where a diagnosis is given, `diagnosis`. There is one chain.

`sample_stats` holds `lp` $=\log p(\theta, z, x)$ and `lq` $=\log q(\theta, z)$ of each draw on the
unconstrained scale, in nats, total. `lp - lq` is the log importance ratio and its mean the ELBO.

*What LOO means here.* `log_likelihood` is conditional on each datum's own latents. Leaving a datum
out then moves its $z_n$ from the posterior to the prior, a large step where data are informative:
k-hat is high for many data, and such numbers are not to be trusted. ArviZ warns of it; more draws
do not help. One weight per draw also corrects all latents at once, which works for few rows or
where q is close to the posterior.

With `Point()` globals `lq` counts the locals only, `lp` has the prior on the constrained scale, and
LOO is conditional on the point. After `infer`, q(θ) comes from other data than those in the tree,
and `lp` has the new data only. A model made by `from_density` does not say what its data are nor
how they are drawn: it has `posterior`, `sample_stats` and `constant_data` only.

`diagnosis` holds `pareto_k` and, in nats, `gap` and `gap_se` of each unit along the local plate;
its attributes `global_k`, the finding and the gap in total. `constant_data` has all numbers that
the model was called with but those that it observes; one named like a site or an axis is called
`name_data` there. Slashes in names become dots.
"""

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
from amortis.export.axis_names import AxisNames, is_list_of_names, name_axes
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
    """Lay out draws of a fit as ArviZ expects them, with plates as named axes.

    What the groups hold is said at the top of this module. ArviZ corrects for q by
    `arviz_stats.loo_approximate_posterior(tree, log_p=tree.sample_stats.lp,
    log_q=tree.sample_stats.lq)`; its likelihood is conditional on each datum's own latents, so
    k-hat is high where data are informative, and such numbers are not to be trusted.

    Args:
        fitted: the fit.
        key: random key; `posterior` holds what `fitted.posterior` draws with it.
        draws: number of draws, at least one.
        coords: labels by axis, one per entry; axes are plates, or `w_dim_0`, or those in `dims`.
        dims: names of axes by site or argument: of all, or of those that no plate names.
        diagnosis: what `diagnose` found of this fit.
        predictive: whether to draw replicates of the data, as `predict` does.

    Returns:
        An `xarray.DataTree`.

    Raises:
        ArgumentError: draws below one, or so many that they take more than 250 million numbers;
            names or labels that do not fit the arrays; a diagnosis of other data.
        MissingDependencyError: ArviZ is not installed.

    References:
        Magnusson et al., *Bayesian leave-one-out cross-validation for large data* (2019).

    Example:
        >>> import amortis, jax, numpyro, numpyro.distributions as dist
        >>> def model(x):
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(0.0, 1.0))
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
    _require_mappings(dims, coords)
    _require_diagnosis(fitted, diagnosis)
    known = outline(fitted.model)
    shapes = shapes_of(fitted.arrays, constrained)
    _require_room(shapes, known, draws, predictive)
    constants = _constants(known, dims or {})
    names = _axis_names(fitted, known, shapes, constants, dims, coords)
    log_p, log_q = log_densities(fitted, key=key, draws=draws)
    groups = _drawn(fitted, known, names, key, draws, predictive)
    stats = {"lp": log_p, "lq": log_q}
    groups["sample_stats"] = Group(stats, dict.fromkeys(stats, ()), {"unit": "nats, total"})
    groups |= _fixed(known, names, constants)
    if diagnosis is not None:
        groups["diagnosis"] = _diagnosis_group(diagnosis, _unit_axis(fitted, known, names))
    return as_tree(groups, names.coords, _measured(fitted, log_p - log_q))


def _drawn(
    fitted: Fit, known: Outline, names: AxisNames, key: RandomKey, draws: int, predictive: bool
) -> dict[str, Group]:
    """The groups of draws: of the latents, of the data, and of how likely the data are."""
    groups = {"posterior": Group(fitted.posterior(key=key, draws=draws), names.dims)}
    if known.observed and predictive:
        replicates = predict(fitted, key=key, draws=draws)
        groups["posterior_predictive"] = Group(replicates, names.dims)
    if known.observed:
        points = log_likelihood(fitted, key=key, draws=draws)
        # The axes of a batch are the first ones of its values.
        dims = {name: names.dims[name][: value.ndim - 1] for name, value in points.items()}
        groups["log_likelihood"] = Group(points, dims, {"unit": "nats per point"})
    return groups


def _fixed(
    known: Outline, names: AxisNames, constants: Mapping[str, np.ndarray]
) -> dict[str, Group]:
    """The groups of data."""
    given = {"observed_data": known.observed, "constant_data": constants}
    return {n: Group(v, names.dims, sampled=False) for n, v in given.items() if v}


def _require_diagnosis(fitted: Fit, diagnosis: Diagnosis | None) -> None:
    if diagnosis is None:
        return
    require_kind("diagnosis", diagnosis, Diagnosis, "amortis.diagnose(fitted, key=key)")
    if diagnosis.size != fitted.model.size:
        raise ArgumentError(
            f"diagnosis is of {diagnosis.size} data but the fit has {fitted.model.size}; expected "
            f"one of this fit: pass amortis.diagnose(fitted, key=key)"
        )


def _require_mappings(dims: Any, coords: Any) -> None:
    if dims is not None:
        require_kind("dims", dims, Mapping, "{'w': ['feature']}")
    if coords is not None:
        require_kind("coords", coords, Mapping, "{'rows': labels}")


def _require_room(
    shapes: Mapping[str, tuple[int, ...]], known: Outline, draws: int, predictive: bool
) -> None:
    observed = [value.shape for value in known.observed.values()]
    every = [*shapes.values(), *observed]
    if predictive and observed:
        require_few([*every, *observed], draws, ", or for predictive=False")
    else:
        require_few(every, draws)


def _constants(known: Outline, dims: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Numbers the model was called with, but those that it observes, under names of their own."""
    given = {axis for names in dims.values() if is_list_of_names(names) for axis in names}
    taken = {*known.axes, *known.plates, *given}
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
    sites: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, np.ndarray],
    dims: Mapping[str, Sequence[str]] | None,
    coords: Mapping[str, Any] | None,
) -> AxisNames:
    """Names of the axes of all variables of all groups."""
    arrays = {**known.observed, **constants}
    shapes = {**sites, **{name: value.shape for name, value in arrays.items()}}
    plates = {**known.axes, **{n: _along(v.shape, fitted, known) for n, v in constants.items()}}
    return name_axes(shapes, plates, dims, coords)


def _unit_axis(fitted: Fit, known: Outline, names: AxisNames) -> str:
    """What the axis of the units is called."""
    site, plate = next(iter(fitted.model.locals_)), fitted.model.plate
    axes = known.axes[site]
    return names.dims[site][axes.index(plate) if plate in axes else 0]


def _along(shape: tuple[int, ...], fitted: Fit, known: Outline) -> tuple[str | None, ...]:
    """The plate along the first axis of an argument, where its length tells which."""
    if not shape:
        return ()
    fitting = [plate for plate, size in known.plates.items() if size == shape[0]]
    local = fitted.model.plate
    first = local if local in fitting else fitting[0] if len(fitting) == 1 else None
    return (first, *(None,) * (len(shape) - 1))


def _diagnosis_group(diagnosis: Diagnosis, axis: str) -> Group:
    per_unit = {
        "pareto_k": diagnosis.row_k,
        "gap": diagnosis.row_gaps,
        "gap_se": diagnosis.row_gap_ses,
    }
    attrs = {
        "finding": diagnosis.finding.name,
        "global_k": diagnosis.global_k,
        "total_gap": diagnosis.gap.mean,
        "total_gap_se": diagnosis.gap.se,
        "unit": "nats per datum; pareto_k has none",
    }
    return Group(per_unit, dict.fromkeys(per_unit, (axis,)), attrs, sampled=False)


def _measured(fitted: Fit, log_ratios: Float[np.ndarray, " draws"]) -> dict[str, Any]:
    """What is said of the whole: how the fit ended, and its ELBO on these draws, in nats."""
    draws = len(log_ratios)
    se = float(log_ratios.std(ddof=1)) / math.sqrt(draws) if draws > 1 else math.nan
    return {
        "inference_function": type(fitted.guide.inference).__name__,
        "status": fitted.status.name,
        "elbo": float(log_ratios.mean()),
        "elbo_se": se,
    }
