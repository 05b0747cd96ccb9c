"""`save` and `load`: a fit in one file of arrays and JSON."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amortis._errors import ArchiveError, ArgumentError
from amortis._require import require_kind, shown
from amortis.data import FilePath
from amortis.export.container import read_container, write_container
from amortis.export.contents import Contents, contents_from, contents_of
from amortis.export.fingerprint import require_same_data
from amortis.export.malformed import Malformed
from amortis.fitting import Fit, Trained, bound_to
from amortis.model import LatentModel, Rebind, from_numpyro


def save(fitted: Fit, path: FilePath) -> None:
    r"""Write a fit to one file, exact to the bit, from which `load` makes it again.

    The file is a ZIP of NPY arrays and a `manifest.json`, with a version and SHA-256 checksums. It
    holds the variational parameters, the means and spreads by which inputs are standardized, the
    history, and as JSON the status, the names and shapes of the latents, the names of the columns
    that the function reads, and what was chosen. No code is in it: neither the model, which `load`
    is given again, nor pickles.

    No data are in it either, but what was computed of them is: the parameters (those of `Table()`,
    and of the ends of a series with `Windowed`, belong to single units), means and spreads of
    columns, categories (`kind=3` is the name of a column), and checksums of the arrays, by which
    `load` recognizes them and anybody could test a guess of all their values.

    The file takes its name only when all of it is written. The same fit gives the same bytes.

    Args:
        fitted: any fit, of families and an inference function of this library.
        path: where the file is to be; its folder must exist, and a file there is replaced.

    Raises:
        ArgumentError: not a fit, a family, inference function or activation of the user's own, or
            a file that cannot be written.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, tempfile
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 3.0, 50)
        >>> from amortis import Polynomial, fit, from_numpyro, infer
        >>> fitted = fit(from_numpyro(model, x), key=jax.random.key(0), inference=Polynomial(1))
        >>> path = tempfile.mkdtemp() + "/fit.amortis"
        >>> save(fitted, path)
        >>> infer(load(path, model), jax.numpy.zeros(3)).moments()["z"][0].shape
        (3,)
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    _require_path(path)
    write_container(path, *contents_of(fitted))


def load(
    path: FilePath,
    function: Callable[..., Any] | LatentModel | None = None,
    /,
    *args: Any,
    **kwargs: Any,
) -> Fit | Trained:
    r"""Read a fit that `save` has written; nothing in the file is ever run or unpickled.

    `load(path, model)` needs none of the data of the fit: `infer` of what it returns gives the
    posteriors of new data, with the same numbers, to the bit, as `infer` of the fit that was saved.
    With the arguments of the fit, `load(path, model, x, sd=sd)` returns the whole fit, and
    `load(path)` what was learned, to look at.

    Args:
        path: where the file is.
        function: the NumPyro model of the fit; or the model bound to the fit's data, as
            `from_density` returns it.
        *args: the data of the fit, as `from_numpyro` was given them, or nothing.
        **kwargs: its keyword arguments.

    Returns:
        With data the fit, without them what it has learned.

    Raises:
        ArchiveError: a file that is no archive of a fit, is damaged or edited, is of a later
            version, or holds 64-bit numbers where JAX is in 32 bit.
        MissingFileError: nothing is there.
        DataError: other data than those of the fit.
        ArgumentError: a fit of `Table()` without its data, or something that is no model.
    """
    _require_path(path)
    _require_model(function, bool(args or kwargs))
    try:
        contents = contents_from(*read_container(path))
        if isinstance(function, LatentModel):
            return _bound(contents, function)
        if function is None:
            return _learned(contents, None)
        return _with_function(contents, function, *args, **kwargs)
    except Malformed as error:
        raise ArchiveError(f"'{path}' {error.came}; expected {error.expected}") from error


def _with_function(
    contents: Contents, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Fit | Trained:
    if contents.function is None or contents.form is None:
        raise ArgumentError(
            f"the model is {shown(function)}, but the fit's was made by from_density; expected the "
            f"bound model: pass what amortis.from_density(...) returns"
        )
    rebind = Rebind(contents.form, function, contents.local, None, contents.by_rows)
    if args or kwargs:
        return _bound(contents, from_numpyro(function, *args, local=contents.local, **kwargs))
    return _learned(contents, rebind)


def _bound(contents: Contents, model: LatentModel) -> Fit:
    if contents.updated:
        raise ArgumentError(
            "the fit was made by update, with q of an earlier fit for its prior, which the archive "
            "does not hold; expected no data: pass the model alone, amortis.load(path, model), and "
            "infer or update from what that returns"
        )
    require_same_data(contents.data, model)
    bound = bound_to(contents.trained, model, contents.held)
    return dataclasses.replace(bound, capacity=contents.capacity)


def _learned(contents: Contents, rebind: Rebind | None) -> Trained:
    trained = contents.trained
    if trained.guide.inference.owns_rows:
        raise ArgumentError(
            f"the fit has {type(trained.guide.inference).__name__}(), a factor for each datum that "
            f"it was fitted to and no function for new data; expected those data as well: "
            f"load(path, {contents.function or 'model'}, *data)"
        )
    return dataclasses.replace(trained, rebind=rebind)


def _require_model(function: object, has_data: bool) -> None:
    if isinstance(function, LatentModel) and has_data:
        raise ArgumentError(
            "load got a bound model together with data; expected one or the other: pass the "
            "NumPyro function with its data, or the bound model alone"
        )
    if function is None and has_data:
        raise ArgumentError(
            "load got data without a model; expected the NumPyro function before them: "
            "load(path, model, *data)"
        )
    if not (function is None or isinstance(function, LatentModel) or callable(function)):
        raise ArgumentError(
            f"the model is {shown(function)}; expected a function: pass the NumPyro model itself"
        )


def _require_path(path: object) -> None:
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError(f"the path is {shown(path)}; expected text or a pathlib.Path")
    if not Path(path).name or "\0" in os.fspath(path):
        raise ArgumentError(f"the path is {str(path)!r}; expected one that names a file")
