"""What `diagnose` may find, and the data that it names."""

import dataclasses
import enum


class Finding(enum.Enum):
    """What limits the fit; each member's value says it in one sentence."""

    EXACT = "q is the posterior: all importance weights are equal"
    FINE = "the function is as good as a factor per datum, and the factors fit the posterior"
    FUNCTION_TOO_SMALL = "the inference function is too small here: a factor per datum is better"
    SLOPES_CUT = "slopes of some rows' ELBOs exploded and were cut, and their factors lose by it"
    FAMILY_TOO_NARROW = "the function is good enough, but its factors do not fit the posterior"
    UNITS_TIED = "nothing is lost by the function, but units touch each other and q parts them"
    GLOBALS_TOO_NARROW = "q of the globals does not fit the posterior"
    UNCERTAIN = "the gap is too noisy to say: ask for more draws"
    UNFINISHED = "the optimisation did not end well, so that nothing else is certain"
    NOT_MEASURED = "nothing is lost by the function; whether q fits could not be measured here"


@dataclasses.dataclass(frozen=True)
class WorstRow:
    """A datum that the function serves badly.

    Attributes:
        index: its position in the data.
        gap: what a factor of its own would gain, in nats.
        k: its k-hat.
        inputs: what the function read, by name.
    """

    index: int
    gap: float
    k: float
    inputs: dict[str, float]
