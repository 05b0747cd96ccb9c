"""Posteriors of one bound block of rows: moments, k-hat, and optima of rows that need them."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from amortis._types import Parameters, RandomKey, RowIndex
from amortis.diagnostics.inferred import InferredBlock, Outside
from amortis.diagnostics.pareto import TRUSTED
from amortis.diagnostics.ratios import RATIO_DRAWS
from amortis.diagnostics.tail_draws import tail_draws, tail_k
from amortis.diagnostics.weights import row_log_weights
from amortis.fitting import (
    Fit,
    optimal_rows,
    polished_rows,
    polishing_noise,
    row_blocks,
    row_noise,
    seed_of,
)
from amortis.guide import Guide
from amortis.inference_functions import Table
from amortis.model import LatentModel

_REFINED_TOGETHER = 256
_RATIOS, _AGAIN = 1, 2  # what noise is for


class Serving:
    """Serves blocks of new rows, with what does not change between them.

    Args:
        key: random key, where rows are checked.
        outside: whether rows are checked, and refined.
    """

    def __init__(self, key: RandomKey | None, outside: Outside) -> None:
        self._key, self._outside = key, outside
        self._axes: dict[str, int] | None = None
        self._is_plain: bool | None = None

    def serve(
        self, bound: Fit, start: int, missing: Bool[np.ndarray, " rows"] | None = None
    ) -> InferredBlock:
        """The posteriors of a block.

        Args:
            bound: the fit, bound to the block's rows and perhaps to padding after them.
            start: position of its first row in the stream.
            missing: rows that stand in for others; its length says how many are not padding.
        """
        missing = np.zeros(bound.model.size, bool) if missing is None else missing
        count = len(missing)
        raw = _raw(bound.guide, bound.variational)
        k, refined = None, np.zeros(count, bool)
        if self._outside is not Outside.UNCHECKED:
            k = self._k_hats(bound, raw, start)[:count]
            if self._outside is Outside.REFINED:
                refined = ~(k <= TRUSTED) & ~missing
                raw, k = self._refined(bound, raw, k, np.flatnonzero(refined), start)
            k = np.where(missing, np.nan, k)
        outside = None if k is None else ~(k <= TRUSTED) & ~missing
        mean, sd = self._moments(bound, raw, missing)
        return InferredBlock(start, mean, sd, k, outside, refined, missing)

    def _k_hats(self, bound: Fit, raw: Array, start: int) -> Float[np.ndarray, " rows"]:
        per_row = RATIO_DRAWS * max(bound.guide.z.dimension, 1)
        k = np.zeros(bound.model.size)
        for index in row_blocks(bound.model, per_row):
            place = np.arange(bound.model.size) if index is None else np.asarray(index)
            k[place] = self._k_of(bound, raw[place], index, (_RATIOS, start + int(place[0])))
        return k

    def _k_of(
        self, bound: Fit, raw: Array, index: RowIndex | None, purpose: tuple[int, int]
    ) -> Float[np.ndarray, " rows"]:
        assert self._key is not None  # `stream` has asked for it
        tail = tail_draws(bound.guide, seed_of(self._key, *purpose), RATIO_DRAWS)
        parts = (bound.model, bound.guide.factors(), {"globals": bound.variational["globals"]})
        ratios = row_log_weights(*parts, raw, tail.noise, index)
        return tail_k(np.asarray(ratios, np.float64).T, tail.mass)

    def _refined(
        self, bound: Fit, raw: Array, k: np.ndarray, rows: np.ndarray, start: int
    ) -> tuple[Array, np.ndarray]:
        """The rows' own optima with q(θ) held, and k-hat of those."""
        assert self._key is not None  # `stream` has asked for it
        k, parts = k.copy(), (bound.model, bound.guide, bound.variational)
        together = min(_REFINED_TOGETHER, bound.model.size)
        noise, many = row_noise(bound.guide, self._key, together), polishing_noise(bound.guide)
        for first in range(0, len(rows), together):
            some = rows[first : first + together]
            # Batches of one size compile once; the last is filled up with its first row.
            filled = np.concatenate([some, np.full(together - len(some), some[0])])
            index = jnp.asarray(filled)
            given = raw[index]
            rough = optimal_rows(*parts, given, noise, index)
            found = polished_rows(*parts, given, many, index, rough).raw
            again = self._k_of(bound, found, index, (_AGAIN, start + first))
            raw = raw.at[jnp.asarray(some)].set(found[: len(some)])
            k[some] = again[: len(some)]
        return raw, k

    def _moments(
        self, bound: Fit, raw: Array, missing: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Means and sds by site, rows first, NaN where rows are missing."""
        axes = self._row_axes(bound.model)
        if self._is_plain is None:
            self._is_plain = set(axes) == set(bound.model.locals_) and _unchanged(bound, axes)
        if self._is_plain:
            both = [bound.guide.z.split(part) for part in _local_moments(bound.guide, raw)]
            found = {name: (both[0][name], both[1][name]) for name in axes}
        else:
            own = _with_factors(bound, raw).moments()
            found = {
                name: tuple(jnp.moveaxis(part, axis, 0) for part in own[name])
                for name, axis in axes.items()
            }
        kept: list[dict[str, np.ndarray]] = [{}, {}]
        for name, pair in found.items():
            for into, part in zip(kept, pair, strict=True):
                values = np.asarray(part)[: len(missing)]
                if missing.any():
                    values = values.copy()
                    values[missing] = np.nan
                into[name] = values
        return kept[0], kept[1]

    def _row_axes(self, model: LatentModel) -> dict[str, int]:
        """The axis of each constrained site along which the rows lie."""
        if self._axes is None:
            self._axes = _axes_of(model)
        return self._axes


def _axes_of(model: LatentModel) -> dict[str, int]:
    theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
    whole = jax.eval_shape(model.constrain, theta, model.zeros(model.size))
    if not model.separable:
        return {name: whole[name].shape.index(model.size) for name in model.locals_}

    def shapes(rows: int) -> dict[str, tuple[int, ...]]:
        # Where the shape changes with the number of rows, there they lie.
        found = jax.eval_shape(
            lambda index: model.constrain(theta, model.zeros(rows), model.rows(index)),
            jnp.zeros(rows, int),
        )
        return {name: value.shape for name, value in found.items()}

    few, more = shapes(2), shapes(3)
    return {
        name: next(i for i, (a, b) in enumerate(zip(few[name], more[name], strict=True)) if a != b)
        for name in few
        if few[name] != more[name]
    }


def _with_factors(bound: Fit, raw: Array) -> Fit:
    """The fit with a factor of its own for every row."""
    guide = dataclasses.replace(bound.guide, inference=Table(), contexts=bound.model.inputs)
    variational: dict[str, Any] = {**bound.variational, "locals": raw - guide.offset}
    return dataclasses.replace(bound, guide=guide, variational=variational)


def _unchanged(bound: Fit, axes: dict[str, int]) -> bool:
    """Whether all locals live on the real line, so that their factors' moments are exact."""
    model = bound.model
    generator = np.random.default_rng(0)
    draw = lambda shape: jnp.asarray(generator.normal(size=shape), jnp.result_type(float))  # noqa: E731
    theta = {name: draw(shape) for name, shape in model.globals_.items()}
    z = {name: draw((model.size, *shape)) for name, shape in model.locals_.items()}
    values = _constrained(model, theta, z)
    return all(
        values[name].size == z[name].size
        and np.array_equal(np.moveaxis(np.asarray(values[name]), axis, 0).ravel(), z[name].ravel())
        for name, axis in axes.items()
    )


@eqx.filter_jit
def _constrained(model: LatentModel, theta: Any, z: Any) -> Any:
    return dict(model.constrain(theta, z))


@eqx.filter_jit
def _raw(guide: Guide, variational: Parameters) -> Float[Array, "rows raw"]:
    return guide.fitted_raw(variational, None)


@eqx.filter_jit
def _local_moments(guide: Guide, raw: Array) -> tuple[Array, Array]:
    return jax.vmap(guide.local_family.moments)(raw)
