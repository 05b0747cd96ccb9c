"""Which families may stand for the globals, and which for the locals of a row."""

from amortis._errors import ArgumentError
from amortis.families import AbstractFamily, Conditional, Flow, Mixture


def require_roles(global_family: AbstractFamily, local_family: AbstractFamily) -> None:
    """Refuse families of rows for the globals, and the other way round.

    Args:
        global_family: of the globals.
        local_family: of one row's locals.

    Raises:
        ArgumentError: one is for the other's place.
    """
    if not local_family.is_density:
        raise ArgumentError(
            f"locals_ is {type(local_family).__name__}(); expected a family with a density for "
            f"local latents, such as DiagonalNormal(): use point estimates for globals_ only"
        )
    if isinstance(global_family, Conditional):
        raise ArgumentError(
            "globals_ is Conditional(...), a factor of locals given the globals; expected a family "
            "of the globals: pass it as locals_"
        )
    if isinstance(local_family, Flow | Mixture):
        raise ArgumentError(
            f"locals_ is {type(local_family).__name__}(...), a family of the globals; expected one "
            f"of a row's locals: DiagonalNormal(), FullRank() or Conditional()"
        )
