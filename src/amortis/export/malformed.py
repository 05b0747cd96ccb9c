"""`Malformed`: how the parts of an archive say that they are not what was written."""

_WHOLE = "a whole, unedited archive of amortis.save: save the fit, or fetch the file, again"


class Malformed(Exception):
    """What was found in an archive, and what was expected; `load` adds which file it is.

    Attributes:
        came: what was found, as the end of a sentence about the file.
        expected: what was expected, and what to do.
    """

    def __init__(self, came: str, expected: str = _WHOLE) -> None:
        super().__init__(came)
        self.came, self.expected = came, expected
