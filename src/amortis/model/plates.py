"""Which latents are local: the plate, or the leading axis, with one latent per row."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

from amortis._errors import AmbiguousPlateError, CrossedPlatesError, NoLocalPlateError


@dataclasses.dataclass(frozen=True)
class SiteInfo:
    """What one run of a model says of one sample site.

    Attributes:
        name: the site's name.
        observed: whether it carries data.
        plates: the plates around it, name to (dim, size).
        leading: length of the first axis of its elementwise log density without plates, or None.
        event: axes of the elementwise log density behind those of the plates, made by `to_event`.
    """

    name: str
    observed: bool
    plates: Mapping[str, tuple[int, int]]
    leading: int | None
    event: int = 0


@dataclasses.dataclass(frozen=True)
class LocalAxis:
    """The axis that carries the rows.

    Attributes:
        name: plate name, or the local site's name where the model has no plate.
        dim: batch dimension of the plate, negative; None where the rows are the first axis.
        size: number of rows N.
    """

    name: str
    dim: int | None
    size: int


class Locals(enum.Enum):
    """What `local=` may say besides a name; each member's value is a sentence."""

    NONE = "every latent is taken as a global, as was asked"


def find_data_axis(sites: Sequence[SiteInfo], lengths: Sequence[int]) -> LocalAxis | None:
    """The axis that carries the rows of data where no latent lies along it.

    Args:
        sites: the sample sites of one run.
        lengths: leading lengths of the data arrays.

    Returns:
        The only plate of observations that is as long as some data and has no latent in it, or the
        observations' leading axis; None where there is neither.
    """
    taken = {name for site in sites if not site.observed for name in site.plates}
    observed = [site for site in sites if site.observed]
    plates = {name: where for site in observed for name, where in site.plates.items()}
    rows = [name for name, (_, size) in plates.items() if size in lengths and name not in taken]
    if len(rows) == 1:
        return LocalAxis(rows[0], *plates[rows[0]])
    bare = [site for site in observed if not site.plates and site.leading in lengths]
    if not plates and bare and bare[0].leading is not None:
        return LocalAxis(bare[0].name, None, bare[0].leading)
    return None


def find_local_axis(
    sites: Sequence[SiteInfo], lengths: Sequence[int], local: str | None
) -> LocalAxis:
    """Find the axis that carries one local latent per row.

    Args:
        sites: the sample sites of one run.
        lengths: leading lengths of the data arrays.
        local: a plate's or a latent site's name, where the user gave one.

    Returns:
        The row axis.

    Raises:
        NoLocalPlateError: no latent has one entry per row, or `local` names nothing.
        AmbiguousPlateError: several plates carry latents and data.
        CrossedPlatesError: two such plates cross at one site.
    """
    latents = [site for site in sites if not site.observed]
    plates = {name: where for site in latents for name, where in site.plates.items()}
    if local is not None and local in plates:
        return LocalAxis(local, *plates[local])
    if local is not None:
        chosen = [site for site in latents if site.name == local]
        if not chosen:
            raise NoLocalPlateError(
                f"local={local!r} is neither a latent site nor a plate around one; "
                f"the model has latent sites {_names(latents)} in plates {sorted(plates)}"
            )
        latents, plates = chosen, dict(chosen[0].plates)
    candidates = _with_data(plates, sites, lengths)
    within_two = [s for s in latents if sum(name in s.plates for name in candidates) > 1]
    aligned = [name for name in candidates if plates[name][1] in lengths]
    if within_two or len(aligned) > 1:
        _refuse_several(candidates, sites, plates)
    candidates = aligned or candidates
    if candidates:
        name = candidates[0]
        return LocalAxis(name, *plates[name])
    return _leading_axis(latents, lengths, plates)


def _with_data(
    plates: Mapping[str, tuple[int, int]], sites: Sequence[SiteInfo], lengths: Sequence[int]
) -> list[str]:
    """Plates of latents that also hold observations, else those as long as the data."""
    observed = {name for site in sites if site.observed for name in site.plates}
    with_data = [name for name in plates if name in observed]
    return with_data or [name for name, (_, size) in plates.items() if size in lengths]


def _refuse_several(
    candidates: Sequence[str],
    sites: Sequence[SiteInfo],
    plates: Mapping[str, tuple[int, int]],
) -> None:
    crossing = [site.name for site in sites if sum(name in site.plates for name in candidates) > 1]
    candidates = sorted(candidates, key=lambda name: plates[name][0])
    listed = " and ".join(repr(name) for name in candidates)
    if crossing:
        raise CrossedPlatesError(
            f"latents are drawn in plates {listed}, which cross at site {crossing[0]!r}; one of "
            f"them must be the local plate, and latents outside it count as globals: pass "
            f"local={candidates[0]!r} (rows of the data run along it)"
        )
    raise AmbiguousPlateError(
        f"latents are drawn in {len(candidates)} plates with data, {listed}; expected one local "
        f"plate: pass local={candidates[0]!r} or another of them"
    )


def _leading_axis(
    latents: Sequence[SiteInfo], lengths: Sequence[int], plates: Mapping[str, tuple[int, int]]
) -> LocalAxis:
    for site in latents:
        if not site.plates and site.leading is not None and site.leading in lengths:
            return LocalAxis(site.name, None, site.leading)
    raise NoLocalPlateError(
        f"no latent has one entry per row: latent sites {_names(latents)}, plates around them "
        f"{sorted(plates)}, data with {sorted(set(lengths))} rows; draw the local latents in "
        f"`with numpyro.plate('rows', x.shape[0])` together with the observations, or pass "
        f"local=amortis.Locals.NONE to take all latents as globals"
    )


def _names(sites: Sequence[SiteInfo]) -> list[str]:
    return [site.name for site in sites]
