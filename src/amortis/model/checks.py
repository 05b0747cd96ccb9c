"""What is tested on a user's own model when it is bound: the identity behind `LatentModel`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from amortis._errors import (
    DensityMismatchError,
    NonFiniteDensityError,
    SlicingError,
    first_line,
)
from amortis._types import RowIndex, Rows, Sites
from amortis.model.latent_model import LatentModel
from amortis.numerics import run_rarely

_ORACLE_ROWS = 7
"""Rows evaluated on their own: few, and of a number that no model has as a size of its own."""

_VALUES, _MOVED, _START, _NEAR = range(4)
_POINTS = ((1.0, 0.0), (1.0, 0.1), (0.0, 0.0), (0.2, 0.0))
"""Where all is evaluated: random values times the first number, locals plus the second. One
compiled function goes from one to the next; a function for each would be compiled four times."""

Oracle = Callable[[Sites, Sites, Rows], Array]

Points = tuple[tuple[float, float], ...]


def check_identity(model: LatentModel, oracle: Oracle, *, rescaled: bool) -> bool:
    r"""Check that rows stand alone and that their sum is the model's log joint.

    On random unconstrained values: (a) terms of a few rows equal the same rows' terms among all;
    (b) the prior part does not move with the locals; (c) prior plus sum over rows equals the
    oracle, on the few rows (to the precision of one row) and on all of them.

    Args:
        model: the model to check.
        oracle: the log joint of a batch on the unconstrained scale, in nats.
        rescaled: whether the oracle weighs a batch of B rows by N/B.

    Returns:
        Whether the log joint is finite where all unconstrained latents are zero, or near there; if
        not, `check_start` names what is to blame.

    Raises:
        SlicingError: (a) or (b) fails, or the model raises on few rows.
        DensityMismatchError: (c) fails.
    """
    index = _few(model)
    batch = index.shape[0]
    whole, part = _evaluated(model, oracle, index, _POINTS)
    prior, moved = whole.prior[_VALUES], whole.prior[_MOVED]
    if not np.isclose(prior, moved, rtol=1e-5, atol=1e-5, equal_nan=True):
        raise SlicingError(
            f"a term outside the local plate {model.plate!r} depends on local latents; expected "
            f"every term with a local latent inside the plate: move it there"
        )
    _compare(model, whole, part, index)
    _compare_oracle(model, part, batch, model.size / batch if rescaled else 1.0)
    _compare_oracle(model, whole, model.size, 1.0)
    return bool(np.isfinite(whole.total[[_START, _NEAR]]).any())


def check_rows(model: LatentModel) -> bool:
    """Check that a few rows have the same terms alone as among all; the first part of the identity.

    What is left out, beside the oracle, is a matter of the model's code and not of its data: it is
    for models whose identity was checked on other data, and costs a fraction.

    Args:
        model: the model to check.

    Returns:
        Whether the log joint is finite where all unconstrained latents are zero.

    Raises:
        SlicingError: the terms differ, or the model raises on few rows.
    """
    index = _few(model)
    points = (_POINTS[_VALUES], _POINTS[_START])
    whole, part = _evaluated(model, None, index, points)
    _compare(model, whole, part, index)
    return bool(np.isfinite(whole.total[-1]))


def check_start(
    model: LatentModel, site_log_probs: Callable[[Sites, Sites, Rows], dict[str, Array]]
) -> None:
    """Check that the log density is finite at unconstrained zero, or near it.

    Args:
        model: the model to check.
        site_log_probs: log probability of each site, to name the one that is not finite.

    Raises:
        NonFiniteDensityError: it is not, with the site and its first bad row.
    """
    evaluate = eqx.filter_jit(lambda model, theta, z: model.log_joint(theta, z))
    start = random_values(model, seed=0, scale=0.0)
    near = random_values(model, seed=1, scale=0.1)
    if any(np.isfinite(float(evaluate(model, *values))) for values in (start, near)):
        return
    for site, values in eqx.filter_jit(site_log_probs)(*start, model.data).items():
        bad = np.argwhere(~np.isfinite(np.asarray(values)))
        if bad.size:
            first = tuple(int(i) for i in bad[0])
            value = float(np.asarray(values)[first])
            where = f", first at index {first}" if first else ""
            raise NonFiniteDensityError(
                f"the log density of site {site!r} is {value} at the start{where}; expected a "
                f"finite number: check that the data lie in the site's support and its scales "
                f"are positive when all unconstrained latents are zero"
            )
    raise NonFiniteDensityError(
        "the log density is not finite at the start, although every site's is; expected a finite "
        "sum: rescale the data"
    )


def random_values(
    model: LatentModel, *, seed: int, scale: float
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Uniform values in [-scale, scale] for all globals and locals, from a fixed seed."""
    generator = np.random.default_rng(seed)
    dtype = jnp.result_type(float)

    def draw(shape: tuple[int, ...]) -> Array:
        return jax.device_put(generator.uniform(-scale, scale, shape).astype(dtype))

    theta = {name: draw(shape) for name, shape in model.globals_.items()}
    z = {name: draw((model.size, *shape)) for name, shape in model.locals_.items()}
    return theta, z


class _Evaluated(NamedTuple):
    """The log terms and the oracle at all of `_POINTS`, on the host."""

    prior: Float[np.ndarray, " points"]
    log_det: Float[np.ndarray, " points"]
    local: Float[np.ndarray, "points rows"]
    oracle: Float[np.ndarray, " points"]

    @property
    def total(self) -> Float[np.ndarray, " points"]:
        """The log joint of the rows; infinities of both signs are no number, as elsewhere."""
        with np.errstate(invalid="ignore"):
            return self.prior + self.log_det + self.local.sum(axis=1, dtype=np.float64)


def _few(model: LatentModel) -> Int[np.ndarray, " few"]:
    batch = min(_ORACLE_ROWS, max(model.size - 1, 1))  # fewer than all, or nothing is sliced
    return np.linspace(0, model.size - 1, batch).astype(np.int32)


def _evaluated(
    model: LatentModel,
    oracle: Oracle | None,
    index: Int[np.ndarray, " few"],
    points: Points,
) -> tuple[_Evaluated, _Evaluated]:
    """All rows, and the few, at all points.

    Raises:
        SlicingError: the model raises on the few rows only.
    """
    try:
        return _evaluate(model, oracle, index, points)
    except Exception as error:
        _evaluate(model, oracle, None, points)  # the error of all rows is the model's own
        raise SlicingError(
            f"the model could not be run on {index.shape[0]} of its {model.size} rows "
            f"({type(error).__name__}: {first_line(error)}); "
            f"expected sizes from shapes: write numpyro.plate({model.plate!r}, x.shape[0]), and "
            f"pass arrays with one entry per row as arguments"
        ) from error


def _evaluate(
    model: LatentModel,
    oracle: Oracle | None,
    index: Int[np.ndarray, " few"] | None,
    points: Points,
) -> tuple[_Evaluated, _Evaluated]:
    """All rows, and those at the index if any, at all points, compiled as one function."""
    theta, z = random_values(model, seed=0, scale=0.5)
    numbers = model.size * max(model.inputs.shape[1], len(z))
    # A function of its own, so that the model is traced anew: what it closes over may have changed.
    evaluate: Any = eqx.filter_jit(
        lambda *given: _all_and_few(*given),
        compiler_options=run_rarely(numbers),  # pyright: ignore
    )
    chosen = None if index is None else jax.device_put(index)
    every, few = jax.device_get(evaluate(model, oracle, theta, z, chosen, points))
    return _Evaluated(*every), _Evaluated(*few)


def _all_and_few(
    model: LatentModel,
    oracle: Oracle | None,
    theta: Sites,
    z: Sites,
    index: RowIndex | None,
    points: Points,
) -> tuple[Any, Any]:
    def at(values: Sites, rows: Rows) -> Any:
        def one(point: Array) -> Any:
            scale, shift = point
            there = {name: scale * value for name, value in theta.items()}
            moved = {name: scale * value + shift for name, value in values.items()}
            terms = model.log_terms(there, moved, rows)
            asked = jnp.zeros(()) if oracle is None else oracle(there, moved, rows)
            return terms.prior, terms.log_det, terms.local, asked

        return jax.lax.map(one, jnp.asarray(points, jnp.result_type(float)))

    every = at(z, model.data)
    if index is None:
        return every, every
    few = {name: jnp.take(value, index, axis=0) for name, value in z.items()}
    return every, at(few, model.rows(index))


def _compare(
    model: LatentModel, whole: _Evaluated, part: _Evaluated, index: Int[np.ndarray, " few"]
) -> None:
    """The prior must not move with the rows, nor a row's term with the other rows."""
    prior = whole.prior[_VALUES]
    if not np.isclose(part.prior[_VALUES], prior, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise SlicingError(
            f"the globals have another log prior with {index.shape[0]} rows than with all "
            f"{model.size}: a term outside {model.plate!r} reads the data or their number; "
            f"expected a prior that does not: compute such constants outside the model"
        )
    _compare_rows(model, whole.local[_VALUES], part.local[_VALUES], index)


def _compare_rows(
    model: LatentModel,
    whole: Float[np.ndarray, " terms"],
    part: Float[np.ndarray, " few_terms"],
    index: Int[np.ndarray, " few"],
) -> None:
    if part.shape != index.shape or whole.shape != (model.size,):
        raise SlicingError(
            f"the model gave {part.shape} local terms for {index.shape[0]} rows; expected "
            f"one per row: size the plate {model.plate!r} from the data's shape"
        )
    off = ~np.isclose(part, whole[index], rtol=1e-3, atol=1e-3, equal_nan=True)
    if off.any():
        row = int(index[int(np.argmax(off))])
        raise SlicingError(
            f"row {row} has another log density among {index.shape[0]} rows than among all "
            f"{model.size}: its terms read other rows or positions; expected rows that stand "
            f"alone given the globals: pass per-row constants as data and draw locals independently"
        )


def _compare_oracle(model: LatentModel, found: _Evaluated, rows: int, weight: float) -> None:
    prior, log_det = (float(part[_VALUES]) for part in (found.prior, found.log_det))
    local, expected = found.local[_VALUES], float(found.oracle[_VALUES])
    total = prior + log_det + weight * float(local.sum(dtype=np.float64))
    epsilon = float(np.finfo(local.dtype).eps)
    size = abs(prior) + abs(log_det) + float(np.abs(local).sum()) * weight
    tolerance = 256 * epsilon * max(1.0, np.sqrt(rows)) * (1.0 + size)
    if np.isfinite(total) and abs(total - expected) > tolerance:
        raise DensityMismatchError(
            f"log prior plus local terms is {total:.8g} nats on {rows} rows but the model's own "
            f"log density is {expected:.8g}; expected the same number: name the local plate "
            f"with local=..."
        )
