"""What is tested on a user's own model when it is bound: the identity behind `LatentModel`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis._errors import DensityMismatchError, NonFiniteDensityError, SlicingError
from amortis._types import Rows, Sites
from amortis.model.latent_model import LatentModel, LogTerms
from amortis.numerics import tree_sum

_ORACLE_ROWS = 7
"""Rows evaluated on their own: few, and of a number that no model has as a size of its own."""

Oracle = Callable[[Sites, Sites, Rows], Array]


def check_identity(model: LatentModel, oracle: Oracle, *, rescaled: bool) -> None:
    r"""Check that rows stand alone and that their sum is the model's log joint.

    On random unconstrained values: (a) terms of a few rows equal the same rows' terms among all;
    (b) the prior part does not move with the locals; (c) prior plus sum over rows equals the
    oracle, on the few rows (to the precision of one row) and on all of them.

    Args:
        model: the model to check.
        oracle: the log joint of a batch on the unconstrained scale, in nats.
        rescaled: whether the oracle weighs a batch of B rows by N/B.

    Raises:
        SlicingError: (a) or (b) fails, or the model raises on few rows.
        DensityMismatchError: (c) fails.
    """
    batch = min(_ORACLE_ROWS, max(model.size - 1, 1))  # fewer than all, or nothing is sliced
    index = jnp.asarray(np.linspace(0, model.size - 1, batch).astype(int))
    theta, z = random_values(model, seed=0, scale=0.5)
    few = {name: value[index] for name, value in z.items()}
    whole = _evaluate(model, oracle, theta, z, model.data)
    try:
        part = _evaluate(model, oracle, theta, few, model.rows(index))
    except Exception as error:
        raise SlicingError(
            f"the model could not be run on {batch} of its {model.size} rows "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); "
            f"expected sizes from shapes: write numpyro.plate({model.plate!r}, x.shape[0]), and "
            f"pass arrays with one entry per row as arguments"
        ) from error
    _compare_priors(model, whole[0], whole[1], part[0], index)
    _compare_rows(model, whole[0], part[0], index)
    _compare_oracle(model, part, batch, model.size / batch if rescaled else 1.0)
    _compare_oracle(model, whole, model.size, 1.0)


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
    draw = lambda shape: jnp.asarray(generator.uniform(-scale, scale, shape), dtype)  # noqa: E731
    theta = {name: draw(shape) for name, shape in model.globals_.items()}
    z = {name: draw((model.size, *shape)) for name, shape in model.locals_.items()}
    return theta, z


def _evaluate(
    model: LatentModel, oracle: Oracle, theta: Sites, z: Sites, rows: Rows
) -> tuple[LogTerms, LogTerms, np.ndarray]:
    """Terms, terms with all locals moved, and the oracle, compiled as one function."""

    @eqx.filter_jit
    def evaluate(model: LatentModel, theta: Sites, z: Sites, rows: Rows) -> Any:
        moved = {name: value + 0.1 for name, value in z.items()}
        return (
            model.log_terms(theta, z, rows),
            model.log_terms(theta, moved, rows),
            oracle(theta, z, rows),
        )

    return jax.device_get(evaluate(model, theta, z, rows))


def _compare_priors(
    model: LatentModel,
    whole: LogTerms,
    moved: LogTerms,
    part: LogTerms,
    index: Array,
) -> None:
    """The prior part must move neither with the locals nor with the rows."""
    if not np.isclose(whole.prior, moved.prior, rtol=1e-5, atol=1e-5, equal_nan=True):
        raise SlicingError(
            f"a term outside the local plate {model.plate!r} depends on local latents; expected "
            f"every term with a local latent inside the plate: move it there"
        )
    if not np.isclose(part.prior, whole.prior, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise SlicingError(
            f"the globals have another log prior with {index.shape[0]} rows than with all "
            f"{model.size}: a term outside {model.plate!r} reads the data or their number; "
            f"expected a prior that does not: compute such constants outside the model"
        )


def _compare_rows(model: LatentModel, whole: LogTerms, part: LogTerms, index: Array) -> None:
    if part.local.shape != index.shape or whole.local.shape != (model.size,):
        raise SlicingError(
            f"the model gave {part.local.shape} local terms for {index.shape[0]} rows; expected "
            f"one per row: size the plate {model.plate!r} from the data's shape"
        )
    expected = np.asarray(whole.local)[np.asarray(index)]
    off = ~np.isclose(part.local, expected, rtol=1e-3, atol=1e-3, equal_nan=True)
    if off.any():
        row = int(index[int(np.argmax(off))])
        raise SlicingError(
            f"row {row} has another log density among {index.shape[0]} rows than among all "
            f"{model.size}: its terms read other rows or positions; expected rows that stand "
            f"alone given the globals: pass per-row constants as data and draw locals independently"
        )


def _compare_oracle(
    model: LatentModel, result: tuple[LogTerms, LogTerms, np.ndarray], rows: int, weight: float
) -> None:
    terms, _, expected = result
    total = float(terms.prior + terms.log_det + weight * tree_sum(jnp.asarray(terms.local)))
    epsilon = float(np.finfo(np.asarray(terms.local).dtype).eps)
    size = float(np.abs(terms.prior) + np.abs(terms.log_det) + np.abs(terms.local).sum() * weight)
    tolerance = 256 * epsilon * max(1.0, np.sqrt(rows)) * (1.0 + size)
    if np.isfinite(total) and abs(total - float(expected)) > tolerance:
        raise DensityMismatchError(
            f"log prior plus local terms is {total:.8g} nats on {rows} rows but the model's own "
            f"log density is {float(expected):.8g}; expected the same number: name the local plate "
            f"with local=..."
        )
