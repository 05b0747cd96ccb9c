"""What the exit code of a command says."""

import enum

from amortis.optimise import Status


class ExitCode(enum.IntEnum):
    """What the exit code of a command says; each member is documented by its comment."""

    DONE = 0  # the fit has settled, or the command did what it was asked
    BUG = 1  # an exception that this library did not raise on purpose, with its traceback
    REFUSED = 2  # bad usage or bad input: one line on the error stream
    NOT_SETTLED = 4  # the fit ended without settling; its outputs are written
    INTERRUPTED = 130  # Ctrl-C; what there was is written


def exit_code(status: Status) -> ExitCode:
    """The exit code for how a fit ended.

    Args:
        status: the fit's status.

    Returns:
        `DONE`, `NOT_SETTLED` or `INTERRUPTED`.
    """
    if status is Status.INTERRUPTED:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if status.settled else ExitCode.NOT_SETTLED
