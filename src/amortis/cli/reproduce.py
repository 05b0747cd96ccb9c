"""`amortis reproduce`: published experiments, with reference, result and ratio side by side."""

import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from amortis._errors import ArgumentError
from amortis.cli.choices import nearest, require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder
from amortis.cli.own_page import Typed, reproduce_own_page
from amortis.cli.own_pages import OWN_PAGES
from amortis.cli.progress import progress_display
from amortis.cli.reproduce_bnn import BNN, Done, reproduce_bnn, require_images
from amortis.cli.reproduce_sir import SIR, reproduce_sir
from amortis.experiments import reproduction
from amortis.experiments.bnn.section import page_section
from amortis.experiments.comparison import Setting
from amortis.experiments.reproduction import Request, settings_of
from amortis.experiments.results.page import write_page
from amortis.experiments.results.reproduced import Reproduced
from amortis.experiments.results.tables import LOSS_COLUMNS, TIME_COLUMNS, loss_rows, time_rows
from amortis.experiments.settings import ScheduleName, read_settings
from amortis.experiments.tasks import TASKS
from amortis.report import text_table

ALL = "paper"
"""Stands for all experiments."""

_OWN = (*OWN_PAGES, SIR)
"""Experiments that write pages of their own."""

_BARS = 4
"""Fits shown at once; there are hundreds."""

_MOST_SEEDS = 10_000


def reproduce(
    experiment: Annotated[
        str, typer.Argument(help=f"{', '.join((*TASKS, BNN, *_OWN))}; or {ALL}.")
    ],
    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="paper: as stated; code: as its authors ran it. Default: paper; of all, both.",
        ),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            help="Of the paper's optimiser: short, for two cores, or published; of bnn also mnist."
        ),
    ] = "short",
    only: Annotated[
        list[str] | None, typer.Option(help="Of all experiments, only this one; may be repeated.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs per method and optimiser; as in the settings.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for tables, pictures and the runs.")
    ] = Path("amortis-reproduced"),
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Markdown page of all that was run.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with the files of bnn, iterative, vae, topics; by default below the "
            "folder in the variable AMORTIS_DATA, else images are fetched.",
        ),
    ] = None,
) -> int:
    """Run published experiments; a run that was interrupted goes on where it stopped."""
    _require_seeds(seeds, seed)
    given = {"as": as_, "only": only, "page": page, "data": data}
    if (code := _own(experiment, schedule, seeds, seed, out, given)) is not None:
        return code
    if page is not None:
        prepare_folder(page.parent, "the folder of --page")
        prepare_folder(page.parent / "images", "the folder of the pictures of --page")
    alone = experiment.strip().casefold() == BNN
    if alone:
        _refuse_for_images(as_, only)
        done, images = [], _images([schedule], seeds, seed, out, data)
    else:
        wanted = _wanted(experiment, as_, only)
        schedules = {name.value: name for name in ScheduleName}
        chosen = schedules[_choice("--schedule", schedule, schedules)]
        # Both data sets at the short schedule; the published one has its own.
        each = ["short", "mnist"] if chosen is ScheduleName.SHORT else [chosen.value]
        asked = each if _with_images(experiment, only) else []
        require_images(asked, data)  # before hours of other experiments
        done = _run(wanted, Request(prepare_folder(out), chosen, seeds, seed))
        images = [] if done is None else _images(asked, seeds, seed, out, data)
    if done is None or images is None:
        return ExitCode.INTERRUPTED
    if page is not None:
        plain = schedule if alone or schedule != "short" else None
        typed = {"as": as_, "schedule": plain, "seeds": seeds, "seed": seed or None}
        command = _typed(experiment, typed, only, page)
        write_page(page, done, command, functools.partial(page_section, images) if images else None)
        typer.echo(f"\nwritten: {page}")
    return ExitCode.DONE


def _own(
    experiment: str,
    schedule: str,
    seeds: int | None,
    seed: int,
    out: Path,
    given: Mapping[str, Any],
) -> int | None:
    """Run an experiment that writes its own page; None if it is another."""
    name = experiment.strip().casefold()
    if name in OWN_PAGES:
        others = {"as": given["as"], "only": given["only"], "seeds": seeds}
        typed = Typed(schedule, seed, out, given["page"], given["data"], others)
        return reproduce_own_page(name, OWN_PAGES[name], typed)
    return reproduce_sir(seeds, seed, out, given) if name == SIR else None


def _typed(
    experiment: str, chosen: Mapping[str, object], only: list[str] | None, page: Path
) -> str:
    """The command as it was typed."""
    options = "".join(f" --{name} {value}" for name, value in chosen.items() if value)
    options += "".join(f" --only {name}" for name in only or ())
    return f"amortis reproduce {experiment}{options} --page {page.name}"


def _require_seeds(seeds: int | None, seed: int) -> None:
    require_at_least("--seed", seed, 0, "leave it out for 0")
    if seeds is None:
        return
    require_at_least("--seeds", seeds, 1, "leave it out for what the settings say")
    if seeds > _MOST_SEEDS:
        raise ArgumentError(f"--seeds is {seeds}; expected at most {_MOST_SEEDS}: ask for fewer")


def _run(wanted: Sequence[tuple[str, Setting]], request: Request) -> list[Reproduced] | None:
    """All that is wanted, one after the other; None where it was interrupted."""
    for name, setting in wanted:
        settings_of(name, setting)  # refused before anything is run
    done: list[Reproduced] = []
    for name, setting in wanted:
        try:
            with progress_display(keep=_BARS) as display:
                found = reproduction.reproduce(
                    name, setting, request, monitor_for=display.monitor_for, tell=_tell
                )
        except KeyboardInterrupt:
            _tell(
                f"interrupted at {name} as the {setting.value} has it; what is finished is in "
                f"'{request.folder}': the same command goes on from there"
            )
            return None
        _show(found)
        done.append(found)
    return done


def _images(
    schedules: Sequence[str], seeds: int | None, seed: int, out: Path, data: Path | None
) -> list[Done] | None:
    """The neural network at some schedules; None where it was interrupted."""
    images: list[Done] = []
    for schedule in schedules:
        fitted = reproduce_bnn(schedule, seeds, seed, out, data)
        if fitted is None:
            return None
        images.append(fitted)
    return images


def _refuse_for_images(as_: str | None, only: Sequence[str] | None) -> None:
    """Options that mean nothing for the neural network, which is run as the code has it."""
    if as_ is not None and _choice("--as", as_, [each.value for each in Setting]) != "code":
        raise ArgumentError(
            f"--as is '{as_}' beside the experiment '{BNN}', for which the paper gives another "
            f"number of weights than its code has; expected code: leave it out"
        )
    if only:
        raise ArgumentError(
            f"--only is '{only[0]}' beside the experiment '{BNN}'; expected it beside {ALL}: leave "
            f"it out"
        )


def _with_images(experiment: str, only: Sequence[str] | None) -> bool:
    """Whether the neural network is among what is asked for."""
    names = [name.strip().casefold() for name in only or ()]
    return experiment.strip().casefold() == ALL and (not names or BNN in names)


def _wanted(
    experiment: str, as_: str | None, only: Sequence[str] | None
) -> list[tuple[str, Setting]]:
    name = _choice("experiment", experiment, [*TASKS, BNN, *_OWN, ALL])
    settings = {setting.value: setting for setting in Setting}
    setting = None if as_ is None else settings[_choice("--as", as_, settings)]
    if name != ALL:
        if only:
            raise ArgumentError(
                f"--only is '{only[0]}' beside the experiment '{name}'; expected it beside {ALL}: "
                f"leave it out"
            )
        return [(name, setting or Setting.PAPER)]
    names = [_choice("--only", each, [*TASKS, BNN]) for each in only or TASKS]
    # As stated first, then as the code ran it, where that was published.
    return [
        (each, plan)
        for each in TASKS
        if each in names
        for plan in read_settings(each).plans
        if setting in (None, plan)
    ]


def _choice(option: str, text: str, known: Collection[str]) -> str:
    name = text.strip().casefold()
    if name not in known:
        what = "there is no experiment" if option in ("experiment", "--only") else f"{option} is"
        raise ArgumentError(f"{what} '{text}'; expected {', '.join(known)}: {nearest(text, known)}")
    return name


def _show(found: Reproduced) -> None:
    summary = found.summary
    settings, plan = summary.campaign.settings, summary.campaign.plan
    typer.echo(f"\n{settings.title}, as the {plan.setting.value} has it: losses in nats, total\n")
    typer.echo(text_table(LOSS_COLUMNS, loss_rows(summary)))
    typer.echo(f"\n{text_table(TIME_COLUMNS, time_rows(summary))}")
    typer.echo(f"\n{summary.remark}")
    typer.echo(f"\nwritten to {found.folder}: {', '.join(found.files)}")


def _tell(line: str) -> None:
    typer.echo(f"amortis: {line}", err=True)
