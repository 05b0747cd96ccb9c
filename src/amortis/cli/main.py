"""`main`: the program `amortis`, its commands, and what it says when it refuses."""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

import amortis
from amortis._errors import AmortisError
from amortis.cli.check import check
from amortis.cli.demo import demo
from amortis.cli.diagnose import diagnose
from amortis.cli.exit_codes import ExitCode
from amortis.cli.fit import fit
from amortis.cli.infer import infer
from amortis.cli.reproduce import reproduce

app = typer.Typer(
    name="amortis",
    help="From a latent variable model to an amortized posterior.",
    epilog="Exit codes: 0 done, 2 bad usage or bad input (one line says what), 4 a fit ended "
    "without settling, 130 interrupted. Of check: 0 yes, 1 no, 3 not decided.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(check)
app.command()(demo)
app.command()(diagnose)
app.command()(fit)
app.command()(infer)
app.command()(reproduce)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"amortis {amortis.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, beside its one line.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """From a latent variable model to an amortized posterior."""
    del debug, version  # `main` looks for the one, and the other's callback has run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: what follows the program's name; by default that of the process.

    Returns:
        The exit code; see `ExitCode`, and `AnswerCode` of `check`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show ± must not cost a finished fit.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore
    # --debug may also follow the command, where it is typed after a failure.
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    try:
        result = app(args=given or ["--help"], prog_name="amortis", standalone_mode=False)
    except AmortisError as error:
        if debug:
            traceback.print_exc()
        return _refuse(str(error))
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except Exception as error:
        # Typer's usage errors have no public class in all supported versions, but this method.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return _refuse(message())
    # A fit that was interrupted says so itself; a bare number is Typer's for Ctrl-C elsewhere.
    if not isinstance(result, ExitCode) and result == ExitCode.INTERRUPTED:
        return _interrupted()
    return int(result or ExitCode.DONE)


def _interrupted() -> int:
    typer.echo("amortis: interrupted before there was a result", err=True)
    return ExitCode.INTERRUPTED


def _refuse(message: str) -> int:
    typer.echo(f"amortis: {' '.join(message.split())}", err=True)
    return ExitCode.REFUSED
