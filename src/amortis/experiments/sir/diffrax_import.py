"""The one door to diffrax, which is optional."""

from typing import Any

from amortis._errors import MissingDependencyError


def diffrax_module() -> Any:
    """Import diffrax; it is not typed here, as it may be missing.

    Raises:
        MissingDependencyError: diffrax is not installed.
    """
    try:
        import diffrax
    except ImportError as error:
        raise MissingDependencyError(
            "the SIR model needs diffrax, which is not installed; expected the ode extra: run "
            'pip install "amortis[ode]"'
        ) from error
    return diffrax
