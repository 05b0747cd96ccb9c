"""`amortis reproduce` of an experiment that writes a page of its own: one procedure for all."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import typer

from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.cli.choices import nearest, require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder
from amortis.data import replacing
from amortis.experiments.reproduction import require_pictures
from amortis.experiments.sheet import Sheet, write_sheet
from amortis.report import text_table


@dataclasses.dataclass(frozen=True)
class Asked:
    """What an experiment is run with.

    Attributes:
        short: whether at its short schedule.
        key: random key.
        folder: where finished parts are kept, and found again.
        data: folder of the files that it reads; None to look below the one in `AMORTIS_DATA`.
    """

    short: bool
    key: RandomKey
    folder: Path
    data: Path | None


@dataclasses.dataclass(frozen=True)
class OwnPage:
    """An experiment that writes a page of its own.

    Attributes:
        run: runs it, or what of it is missing.
        schedules: what `--schedule` may be.
        reads: whether it reads files, so that `--data` means something.
        keeps: whether finished parts are kept, so that an interrupted run goes on.
        shown: how many of its tables are shown in the terminal; None for all.
    """

    run: Callable[[Asked], Sheet]
    schedules: tuple[str, ...] = ("short", "full")
    reads: bool = False
    keeps: bool = False
    shown: int | None = None


@dataclasses.dataclass(frozen=True)
class Typed:
    """The options of `amortis reproduce` that an experiment with its own page may look at.

    Attributes:
        schedule: which schedule.
        seed: of the random key.
        out: folder; the experiment's files go to a folder of its name.
        page: where the page goes as well, its pictures to `images` beside it; None for nowhere.
        data: folder of the files that it reads.
        others: options by name that mean nothing here, if they were given.
    """

    schedule: str
    seed: int
    out: Path
    page: Path | None
    data: Path | None
    others: Mapping[str, object]


def reproduce_own_page(name: str, experiment: OwnPage, typed: Typed) -> int:
    """Run an experiment, show its tables, and write its page, pictures and numbers.

    Args:
        name: of the experiment.
        experiment: how it is run.
        typed: the options.

    Returns:
        The exit code.

    Raises:
        ArgumentError: there is no such schedule, an option means nothing here, or a folder cannot
            be written.
        DataError: files that it reads are not there or damaged.
        MissingDependencyError: what it needs is not installed.
    """
    _refuse_others(name, experiment, typed)
    require_at_least("--seed", typed.seed, 0, "leave it out for 0")
    schedule = _schedule(name, experiment, typed.schedule)
    require_pictures()
    folder = prepare_folder(prepare_folder(typed.out) / name)
    page = typed.page
    images = None if page is None else prepare_folder(page.parent / "images", "pictures of --page")
    kept = prepare_folder(folder / "runs") if experiment.keeps else folder
    asked = Asked(schedule == "short", jax.random.key(typed.seed), kept, typed.data)
    try:
        sheet = experiment.run(asked)
    except KeyboardInterrupt:
        left = (
            f"what is finished is in '{kept}': the same command goes on from there"
            if experiment.keeps
            else "nothing was written"
        )
        tell(f"interrupted at {name}; {left}")
        return ExitCode.INTERRUPTED
    options = "" if schedule == experiment.schedules[0] else f" --schedule {schedule}"
    options += f" --seed {typed.seed}" if typed.seed else ""
    names = write_sheet(sheet, folder, f"amortis reproduce {name}{options}")
    if page is not None and images is not None:
        _place(folder, name, names, page, images)
        names = [*names, str(page)]
    _show(sheet, experiment.shown)
    typer.echo(f"\nwritten to {folder}: {', '.join(names)}")
    return ExitCode.DONE


def tell(line: str) -> None:
    """A line to the person who waits, apart from the results."""
    typer.echo(f"amortis: {line}", err=True)


def _refuse_others(name: str, experiment: OwnPage, typed: Typed) -> None:
    others = typed.others if experiment.reads else {**typed.others, "data": typed.data}
    expected = "--schedule, --seed, " + ("--data, " if experiment.reads else "")
    for option, value in others.items():
        if value:
            raise ArgumentError(
                f"--{option} is given beside the experiment '{name}'; expected {expected}--page "
                f"and --out only: leave it out"
            )


def _schedule(name: str, experiment: OwnPage, typed: str) -> str:
    chosen = typed.strip().casefold()
    if chosen not in experiment.schedules:
        raise ArgumentError(
            f"--schedule is '{typed}' for {name}; expected {' or '.join(experiment.schedules)}: "
            f"{nearest(typed, experiment.schedules)}"
        )
    return chosen


def _show(sheet: Sheet, most: int | None) -> None:
    typer.echo(f"\n{sheet.title}")
    for table in sheet.tables[:most]:
        typer.echo(f"\n{table.caption}\n\n{text_table(table.columns, table.rows)}")
    typer.echo("\n" + "\n".join(sheet.learned))


def _place(folder: Path, name: str, names: Sequence[str], page: Path, images: Path) -> None:
    """Copy the page, and its pictures to a folder beside it."""
    text = (folder / f"{name}.md").read_text(encoding="utf8")
    for written in names:
        if written.endswith(".png"):
            with replacing(images / written) as stream:
                stream.write((folder / written).read_bytes())
            text = text.replace(f"]({written})", f"]({images.name}/{written})")
    with replacing(page) as stream:
        stream.write(text.encode())
