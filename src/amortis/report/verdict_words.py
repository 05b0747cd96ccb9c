"""The words under a verdict's drawing, and how much room words take."""

import dataclasses

from amortis.structure import Coupling, Input, Kind, Verdict

_MOST_COUPLINGS = 2
_MOST_OFFSETS = 4

# Widths of DejaVu Sans in em, rounded up; it is wide, so that text fits in other fonts as well.
_CLASSES = ((0.32, "ijl.,:;'| "), (0.42, 'ftrI[](){}"/-'), (0.84, "+−=<>~_"), (1.0, "mwMW@%…"))
_USUAL, _CAPITAL, _FULL = 0.64, 0.79, 1.1
_EM = {character: width for width, characters in _CLASSES for character in characters}


def caption_of(verdict: Verdict) -> str:
    """The answer in one or two sentences, with the model's own names.

    Args:
        verdict: what `check` found.

    Returns:
        One line, such as `Yes: one function of x[n] is ideal for z[n], for all 24 units of 'rows'.`
    """
    return printable(f"{_answer(verdict)}: {_finding(verdict)}.")


def printable(text: str) -> str:
    """The text on one line; what has no glyph, and may not be in XML, becomes a mark."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in _joined(text))


def text_width(text: str, size: float) -> float:
    """Estimate the width of a text, rather too large.

    Args:
        text: on one line.
        size: of the font, in any unit.

    Returns:
        The width in the same unit.
    """
    return size * sum(_em(character) for character in text)


def shortened(text: str, size: float, most: float) -> str:
    """Cut a text that is too wide and mark the cut with an ellipsis.

    Args:
        text: on one line.
        size: of the font.
        most: the room, in the unit of `size`.

    Returns:
        The text, or its beginning.
    """
    if text_width(text, size) <= most:
        return text
    kept = text
    while kept and text_width(f"{kept}…", size) > most:
        kept = kept[:-1]
    return f"{kept}…"


def wrapped(text: str, size: float, most: float) -> tuple[str, ...]:
    """Break a text into lines that fit.

    Args:
        text: on one line.
        size: of the font.
        most: the room, in the unit of `size`.

    Returns:
        The lines; a word that is too long for one is broken.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        while text_width(longer, size) > most:
            if lines[-1]:
                lines.append("")  # the word goes to a new line, and is broken only if it must be
                longer = word
                continue
            fits = max(
                (n for n in range(1, len(word)) if text_width(word[:n], size) <= most), default=1
            )
            lines[-1:] = [longer[:fits], ""]
            longer = word = longer[fits:]
        lines[-1] = longer
    return tuple(lines)


def _answer(verdict: Verdict) -> str:
    return {True: "Yes", False: "No", None: "Not decided"}[verdict.answer]


def _finding(verdict: Verdict) -> str:
    local = f"{', '.join(verdict.sites)} of unit n" if len(verdict.sites) > 1 else ""
    local = local or f"{''.join(verdict.sites)}[n]"
    every = f"all {verdict.size} units of '{verdict.local}'"
    match verdict.kind:
        case Kind.POINTWISE | Kind.WINDOWED | Kind.GROUPED:
            if not verdict.inputs:
                return f"{local} reads no data, so that one factor serves {every}"
            read = ", ".join(_with_few_offsets(given) for given in verdict.inputs)
            return f"one function of {read} is ideal for {local}, for {every}{_ends(verdict)}"
        case Kind.COUPLED:
            ties = [_with_few_offsets(coupling) for coupling in verdict.couplings]
            more = " and more" if len(ties) > _MOST_COUPLINGS else ""
            touching = "; ".join(ties[:_MOST_COUPLINGS]) or f"units of {local} touch each other"
            return f"{touching}{more}, so that no function of a part of the data is ideal"
        case Kind.HIDDEN:
            why = "".join(f"; {reason}" for reason in verdict.reasons[:1])
            return f"no one function serves {every}, as they differ in what is not data{why}"
        case Kind.NO_LOCALS:
            return verdict.kind.value
        case Kind.UNKNOWN:
            return verdict.reasons[0] if verdict.reasons else verdict.kind.value


def _with_few_offsets(of: Input | Coupling) -> str:
    """The sentence about an input or a coupling; of many offsets the first two and the last."""
    if len(of.offsets) <= _MOST_OFFSETS:
        return str(of)
    first, last = (
        str(dataclasses.replace(of, offsets=o)) for o in (of.offsets[:2], of.offsets[-1:])
    )
    return f"{first}, …, {last.rpartition(' at ')[2]}"


def _ends(verdict: Verdict) -> str:
    count = len(verdict.edges)
    if not count:
        return ""
    return f" but {count} that lack{'s' if count == 1 else ''} an argument"


def _joined(text: str) -> str:
    return " ".join(text.split())


def _em(character: str) -> float:
    if ord(character) >= 0x2E80:  # East Asian scripts
        return _FULL
    return _EM.get(character, _CAPITAL if character.isupper() else _USUAL)
