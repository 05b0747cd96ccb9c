"""`Verdict`: the answer of `check`, as a frozen record that prints as sentences."""

import dataclasses
import enum
from typing import Any


class Kind(enum.Enum):
    """What was found; each member's value says it in one sentence."""

    POINTWISE = "each local latent reads its own row only: an ideal inference function exists"
    WINDOWED = "each local latent reads the rows at fixed offsets: an ideal function of them exists"
    GROUPED = "each local latent reads the rows of its group: an ideal function of the set exists"
    COUPLED = "local latents touch each other: no function of a part of the data is ideal"
    HIDDEN = "rows differ in something that is not data: no one function can serve them all"
    NO_LOCALS = "there are no local latents, so there is nothing to amortize"
    UNKNOWN = "it could not be decided"


class Evidence(enum.Enum):
    """How the absence of edges is known."""

    PROVED = "proved"
    PROBED = "probed"


@dataclasses.dataclass(frozen=True)
class Input:
    """Data that the inference function has to read.

    Attributes:
        name: name of the array, as the model's argument.
        offsets: entries read relative to the unit's own.
        stride: entries from one unit's own to the next one's.
        axis: axis of the array along which entries belong to units.
        index: name of the integer array that says which group an entry is in, or None.
        base: the first group's index, zero or one.
    """

    name: str
    offsets: tuple[int, ...] = (0,)
    stride: int = 1
    axis: int = 0
    index: str | None = None
    base: int = 0

    def __str__(self) -> str:
        if self.index is not None:
            return f"rows i of {self.name} with {self.index}[i] = n"
        step = "n" if self.stride == 1 else f"{self.stride}n"
        at = [step if o == 0 else f"{step}{'+' if o > 0 else '−'}{abs(o)}" for o in self.offsets]
        before = ":, " * self.axis
        return ", ".join(f"{self.name}[{before}{where}]" for where in at)


@dataclasses.dataclass(frozen=True)
class Coupling:
    """Two latents that share a term.

    Attributes:
        site: a local site, at unit n.
        other: a local site, at another unit.
        offsets: the other units relative to n, as far as they are the same for every n; empty if
            they are not.
        reach: the largest distance, or None if it grows with the data.
        example: one pair of units.
    """

    site: str
    other: str
    offsets: tuple[int, ...]
    reach: int | None
    example: tuple[int, int]

    def __str__(self) -> str:
        if self.reach is None:
            return f"{self.site}[n] touches {self.other} at all distances"
        if self.offsets:
            where = ", ".join(f"n{'+' if o > 0 else '−'}{abs(o)}" for o in self.offsets)
            return f"{self.site}[n] touches {self.other} at {where}"
        n, m = self.example
        return f"{self.site}[{n}] touches {self.other}[{m}]"


@dataclasses.dataclass(frozen=True)
class Verdict:
    r"""Whether amortized inference can be as good as factorized inference, and on which inputs.

    Attributes:
        kind: the finding.
        local: name of the plate, or of the first local site where no plate says which it is.
        size: number of units N.
        sites: the local sites.
        inputs: what the inference function has to read. Where latents touch each other: what each
            reads by itself, which is not enough.
        reasons: sentences that say why.
        evidence: whether the absence of edges was proved on a copy of the model, or probed on the
            model itself.
        minibatch: whether the log joint is a sum over units, so that subsampling them is unbiased.
        edges: units with fewer arguments than the others, which keep free parameters
            (Remark 3.7).
        couplings: local latents that touch each other.
        proved_units: units of the copy on which it was proved; zero if it was not.
        others: verdicts on the model's other plates.
        seconds: time it took.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), Theorem 3.4 and
        §3.2.
    """

    kind: Kind
    local: str | None
    size: int
    sites: tuple[str, ...]
    inputs: tuple[Input, ...]
    reasons: tuple[str, ...]
    evidence: Evidence
    minibatch: bool
    edges: tuple[int, ...] = ()
    couplings: tuple[Coupling, ...] = ()
    proved_units: int = 0
    others: "tuple[Verdict, ...]" = ()
    seconds: float = 0.0

    @classmethod
    def no_locals(cls, reason: str, seconds: float = 0.0) -> "Verdict":
        """The verdict on a model all of whose latents are globals.

        Args:
            reason: a sentence that says why there are no locals.
            seconds: time it took.
        """
        return cls(
            Kind.NO_LOCALS, None, 0, (), (), (reason,), Evidence.PROBED, False, seconds=seconds
        )

    @property
    def answer(self) -> bool | None:
        """True if an ideal function exists, False if not, None if it could not be decided."""
        if self.kind is Kind.UNKNOWN:
            return None
        return self.kind in (Kind.POINTWISE, Kind.WINDOWED, Kind.GROUPED)

    @property
    def options(self) -> tuple[str, ...]:
        """What to do now, most advisable first."""
        return _OPTIONS[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        plain: dict[str, Any] = dataclasses.asdict(self)
        return plain | {
            "kind": self.kind.name,
            "answer": self.answer,
            "evidence": self.evidence.value,
            "options": list(self.options),
            "others": [other.to_dict() for other in self.others],
        }

    def __str__(self) -> str:
        return "\n".join(_sentences(self))


_OPTIONS: dict[Kind, tuple[str, ...]] = {
    Kind.POINTWISE: ("fit with any flexible inference function",),
    Kind.WINDOWED: ("fit with Windowed(...), which `fit` chooses by itself",),
    Kind.GROUPED: ("fit with SetNetwork(...), which `fit` chooses by itself",),
    Kind.COUPLED: (
        "inference=Table(): factorized VI, a free factor per unit",
        "Windowed(MLP(), offsets) with a wide window: approximate, its gap shrinks with the width",
        "amortis.refine of such a fit: a factor per unit, started at the function's output",
        "a family that is not factorized over units, or NUTS",
    ),
    Kind.HIDDEN: ("pass what differs between rows to the model as data, one entry per row",),
    Kind.NO_LOCALS: (
        "plain variational inference over the globals, which `fit` does",
        "amortis.select_family(model, key=key): which family of q(θ) to trust",
    ),
    Kind.UNKNOWN: ("inference=Table(): factorized VI needs no answer to this question",),
}


def _sentences(verdict: Verdict) -> list[str]:
    head = {True: "YES", False: "NO", None: "NOT DECIDED"}[verdict.answer]
    if verdict.local is None:
        return [f"{verdict.kind.name}: {verdict.kind.value}.", *_listed(verdict.reasons)]
    lines = [
        f"{head} ({verdict.kind.name}): {verdict.kind.value}.",
        f"  locals   {', '.join(verdict.sites)}: {verdict.size} units along {verdict.local!r}",
    ]
    if verdict.inputs:
        lines.append(f"  reads    {_reads(verdict.inputs)}")
    if verdict.edges:
        shown = ", ".join(str(n) for n in verdict.edges[:6])
        more = ", …" if len(verdict.edges) > 6 else ""
        lines.append(f"  edges    units {shown}{more} lack an argument and keep free parameters")
    lines += [f"  why      {reason}" for reason in verdict.reasons]
    if verdict.answer is not True:
        lines += [f"  instead  {option}" for option in verdict.options]
    batches = "rows may be subsampled" if verdict.minibatch else "rows may not be subsampled"
    lines.append(
        f"  {verdict.evidence.value}   {_evidence(verdict)}in {verdict.seconds:.1f} s; {batches}"
    )
    for other in verdict.others:
        what = f"{other.kind.name}, {other.kind.value}"
        lines.append(f"  also     plate {other.local!r} ({other.size}): {what}")
    return lines


def _evidence(verdict: Verdict) -> str:
    if verdict.evidence is Evidence.PROBED:
        return ""
    if verdict.proved_units == verdict.size:
        return "that no unit touches or reads more, "
    return f"that no unit of {verdict.proved_units} touches or reads more, "


def _reads(inputs: tuple[Input, ...]) -> str:
    """What is read, where arrays that are read by the same index are named together."""
    parts: list[str] = []
    for index in dict.fromkeys(given.index for given in inputs):
        alike = [given for given in inputs if given.index == index]
        if index is None:
            parts += [str(given) for given in alike]
        else:
            names = ", ".join(given.name for given in alike)
            parts.append(str(dataclasses.replace(alike[0], name=names)))
    return "; ".join(parts)


def _listed(reasons: tuple[str, ...]) -> list[str]:
    return [f"  why      {reason}" for reason in reasons]
