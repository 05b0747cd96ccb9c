"""`stream`: posteriors of any number of new rows, block by block, in constant memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from amortis._errors import ArgumentError
from amortis._require import require_count, require_key, require_kind
from amortis._types import RandomKey
from amortis.diagnostics.inferred import InferredBlock, Missing, Outside
from amortis.diagnostics.row_pieces import Piece, calls, pieces
from amortis.diagnostics.serving import Serving
from amortis.fitting import Fit, Trained, bound_to, infer, require_function
from amortis.inference_functions import AbstractRowFunction
from amortis.model import AbstractRebind, LatentModel

_ROWS = 16_384


def stream(
    fitted: Fit | Trained,
    blocks: Any,
    *,
    key: RandomKey | None = None,
    outside: Outside = Outside.UNCHECKED,
    missing: Missing = Missing.REFUSED,
    rows: int = _ROWS,
) -> Iterator[InferredBlock]:
    r"""Infer new data block by block: any number of rows, in the memory that one block needs.

    Like `infer`, with nothing optimised: $q(\theta)$ and $f$ are those of the fit. Blocks may be of
    any size; they are cut into pieces of `rows` rows, so that a memory-mapped array can be one
    block, a generator is read as it goes, and one compiled function serves them all. Each piece is
    one result. Units that are groups or windows of rows cannot be cut: there each block holds whole
    groups, or one series, and is one result.

    With `Outside.FLAGGED` each row gets the k-hat of $p(x_n, z_n\mid\theta)/q(z_n)$: above 0.7 its
    factor is too far from the row's posterior to be trusted, as for rows unlike those that were
    fitted. With `Outside.REFINED` those rows get their own optimum, with $q(\theta)$ held.

    Args:
        fitted: a fit of an inference function, or what `load` has read of one.
        blocks: an iterable of blocks of new data, each a tuple of the model's arguments, a dict by
            their names, or its one array; or one array or dict.
        key: random key for k-hat and for refining; not needed where rows are not checked.
        outside: whether rows outside the fit's reach are found, and refined.
        missing: what to do about rows with NaN or infinity.
        rows: rows of a piece.

    Yields:
        Means and standard deviations on the constrained scale, rows first, and what was found.

    Raises:
        ArgumentError: a fit of `Table()`, no key where one is needed, or rows that cannot be
            evaluated apart where k-hat is asked for.
        DataError: data of another form, unseen categories, or rows that are not finite where they
            are refused.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x, key = jax.numpy.linspace(-3.0, 3.0, 50), jax.random.key(0)
        >>> fitted = amortis.fit(
        ...     amortis.from_numpyro(model, x), key=key, inference=amortis.Polynomial(1)
        ... )
        >>> [found.mean["z"].shape for found in amortis.stream(fitted, [x, x + 1.0], rows=40)]
        [(40,), (10,), (40,), (10,)]
    """
    require_kind("fitted", fitted, Fit | Trained, "amortis.fit(model, key=key)")
    require_kind("outside", outside, Outside, "amortis.Outside.FLAGGED")
    require_kind("missing", missing, Missing, "amortis.Missing.NAN")
    require_count("number of", "rows", rows, "leave it out for the default")
    if key is not None:
        require_key(key)
    _require_key(key, outside)
    if isinstance(fitted, Fit):
        _require_checkable(fitted.model, outside)
    return _results(fitted, blocks, missing, rows, Serving(key, outside), outside)


def _results(
    fitted: Fit | Trained,
    blocks: Any,
    missing: Missing,
    rows: int,
    serving: Serving,
    outside: Outside,
) -> Iterator[InferredBlock]:
    """Piece by piece where rows can be cut, else block by block; refuses before the first."""
    trained = Trained.of(fitted) if isinstance(fitted, Fit) else fitted
    rebind = require_function(trained)
    is_row_function = isinstance(trained.guide.inference, AbstractRowFunction)
    if isinstance(rebind, AbstractRebind) and rebind.by_rows and is_row_function:
        fill: dict[str, Any] = {}
        if isinstance(fitted, Fit) and missing is Missing.NAN:
            fill = dict(fitted.model.joint().arrays)
        cut = pieces(rebind, blocks, rows, missing, fill)
        return _by_pieces(trained, rebind, cut, serving, outside)
    if missing is Missing.NAN:
        raise ArgumentError(
            "missing is Missing.NAN, but the units of this model read several rows, "
            "so that one that is missing has no posterior of its own to leave out; expected "
            "Missing.REFUSED: drop those rows from their groups"
        )
    return _by_blocks(trained, blocks, serving, outside)


def _require_key(key: RandomKey | None, outside: Outside) -> None:
    if outside is not Outside.UNCHECKED and key is None:
        raise ArgumentError(
            f"outside is {outside}, which takes random draws, and there is no key; expected one: "
            f"pass key=jax.random.key(0)"
        )


def _require_checkable(model: LatentModel, outside: Outside) -> None:
    if outside is not Outside.UNCHECKED and not model.separable:
        raise ArgumentError(
            f"outside is {outside}, but the units of {model.plate!r} share terms or data "
            f"and cannot be evaluated apart; expected Outside.UNCHECKED: leave it out"
        )


def _by_blocks(
    trained: Trained, blocks: Any, serving: Serving, outside: Outside
) -> Iterator[InferredBlock]:
    start = 0
    for args, kwargs in calls(blocks):
        bound = infer(trained, *args, **kwargs)
        _require_checkable(bound.model, outside)
        yield serving.serve(bound, start)
        start += bound.model.size


def _by_pieces(
    trained: Trained,
    rebind: AbstractRebind,
    cut: Iterator[Piece],
    serving: Serving,
    outside: Outside,
) -> Iterator[InferredBlock]:
    bound: Fit | None = None
    last: Piece | None = None
    for piece in cut:
        if bound is None or last is None or not _same_but_rows(rebind, last, piece):
            bound = bound_to(trained, rebind.bind(piece.arguments), held=True)
            _require_checkable(bound.model, outside)
        else:
            again = rebind.refilled(bound.model, piece.arguments)
            bound = bound_to(trained, again, held=True)
        last = piece
        yield serving.serve(bound, piece.start, piece.missing)


def _same_but_rows(rebind: AbstractRebind, before: Piece, now: Piece) -> bool:
    """Whether two pieces differ in the values of their rows at most."""
    old, new = before.arguments, now.arguments
    if old.names != new.names or old.structure != new.structure:
        return False
    rows = rebind.form.row_names
    for name, first, second in zip(old.names, old.leaves, new.leaves, strict=True):
        if first is second:
            continue
        if np.shape(first) != np.shape(second):
            return False
        if name not in rows and not np.array_equal(first, second):
            return False
    return True
