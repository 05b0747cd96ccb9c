"""The exceptions this library raises on purpose.

Every message is one line that says what came, what was expected and what to do; the command line
prints that line and exits with code 2.
"""

import traceback
from pathlib import Path


def first_line(error: BaseException) -> str:
    """What an exception says first; where it says nothing, the line of code that raised it."""
    said = next(iter(str(error).strip().splitlines()), "")
    frames = traceback.extract_tb(error.__traceback__)
    if said or not frames:
        return said
    last = frames[-1]
    place = f"line {last.lineno} of {Path(last.filename).name}"
    return f"`{last.line}`, {place}" if last.line else place  # what was never a file has no source


class AmortisError(Exception):
    """The root of every exception that this library raises on purpose."""


class DataError(AmortisError):
    """Arrays or files that a model cannot be given."""


class MissingFileError(DataError):
    """A file that was named is not there."""


class MissingColumnError(DataError):
    """A model needs an argument for which the data have no column."""


class ArchiveError(DataError):
    """A file that is no archive of a fit, or a damaged one, or one that cannot be loaded here."""


class DownloadError(DataError):
    """A published file that could not be fetched."""


class ChecksumError(DownloadError):
    """A file whose bytes are not those that were published."""


class MissingDependencyError(AmortisError, ImportError):
    """An optional package that the request needs is not installed."""


class NonFiniteDataError(DataError):
    """Data contain NaN or infinity."""


class UnequalLengthsError(DataError):
    """Arrays that should share their rows have different leading lengths."""


class ArgumentError(AmortisError, ValueError):
    """An argument is outside its range."""


class ModelError(AmortisError):
    """A model that cannot be bound to its data."""


class ModelRaisedError(ModelError):
    """The user's model raised; its own exception is the cause of this one."""


class NoLocalPlateError(ModelError):
    """No latent site has one entry per row of the data."""


class NoObservationError(ModelError):
    """No observed site or factor reads the data."""


class AmbiguousPlateError(ModelError):
    """Several plates could be the local one."""


class CrossedPlatesError(AmbiguousPlateError):
    """Latents are drawn in two plates that cross at one site."""


class UnsupportedSiteError(ModelError):
    """A site of a kind that has no unconstrained density."""


class StepwiseLatentsError(UnsupportedSiteError):
    """Latents are drawn inside `scan` or `cond`, one step after the other."""


class DiscreteLatentError(UnsupportedSiteError):
    """A latent site is discrete."""


class ImproperSupportError(UnsupportedSiteError):
    """A latent site does not say on which support it lives."""


class SlicingError(ModelError):
    """The model's rows cannot be evaluated without the other rows."""


class DensityMismatchError(ModelError):
    """The sum over rows is not the model's log joint."""


class NonFiniteDensityError(ModelError):
    """The log density is NaN or infinite where the fit would start."""


class NotAnOptimumError(ModelError):
    """A covariance was asked of a fit that is at no optimum."""
