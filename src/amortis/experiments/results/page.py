"""`docs/paper.md`: what was reproduced, what was not, and why; generated from the outputs."""

import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from amortis.data import replacing
from amortis.experiments.comparison import Setting
from amortis.experiments.results.agreement import Agreement
from amortis.experiments.results.reproduced import Reproduced
from amortis.experiments.results.summary import Summary
from amortis.experiments.results.tables import (
    LOSS_COLUMNS,
    TIME_COLUMNS,
    loss_rows,
    reasons,
    time_rows,
)
from amortis.experiments.settings import Settings
from amortis.report import Cell, Column, markdown_table

_INTRODUCTION = """\
# The paper, reproduced

C. C. Margossian and D. M. Blei, *Amortized Variational Inference: When and Why?* (UAI 2024).
Every experiment is run as the paper states it and as the authors' published code ran it, and each
number stands beside the one to expect. This page is generated: change the settings in
`src/amortis/experiments/settings`, not the page.

```
{command}
```

Two optimisers fit every method from every seed. *ours*: `amortis.fit` with nothing chosen.
*Adam*: the paper's, `amortis.ConstantRate`, fresh independent draws and a constant rate.
"its to 50/10/1 %" is the rule of the authors' code: the first multiple i of 10 with the mean of the
losses from i − 10 to i + 10 within that share of the target, F-VI's own late mean; medians over
seeds. "our rule": from when on the loss stays within 0.01 nats per datum of the best known.
For *ours* the loss on the way is that on its own fixed draws; the last one is measured exactly.
"within 1 %": seeds that end at most 1 % above the target. A result *agrees* if best and median are
no higher than the reference by more than the printed seeds' spread and at least as many seeds
succeed, and is *better* if best or median is lower, and neither higher, by more than the printed
value was rounded to. What stands under "holds" and "what was found" was written by hand, of these
tables. Iterations stand beside the printed ones and are not judged: ours starts its
functions at a constant and reads standardized inputs, so that the paper's optimiser needs fewer
from there. Networks are ours too: tanh and one trunk for mean and log sd, where the code has two
ReLU networks of the raw input. Seconds are medians over seeds, of which the first compiles. Losses
are in nats, total.
"""


def write_page(
    path: Path,
    done: Sequence[Reproduced],
    command: str,
    more: Callable[[Path], str] | None = None,
) -> None:
    """Write the page, and the pictures beside it in `images`.

    Args:
        path: the Markdown file.
        done: experiments that were run; their pictures are copied from their folders.
        command: what made it, for the reader to repeat.
        more: makes a part for the end of the page, given the folder of its pictures.

    Raises:
        ArgumentError: a file cannot be written.
    """
    images = path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    parts = [_INTRODUCTION.format(command=command), _machine(), _overview(done)]
    settings: Settings | None = None
    for one in done:
        if settings is not one.summary.campaign.settings:
            previous, settings = settings, one.summary.campaign.settings
            if previous is None or previous.experiment != settings.experiment:
                parts.append(_heading(settings))
        parts.append(_section(one, images))
    if more is not None:
        parts.append(more(images))
    with replacing(path) as stream:
        stream.write(("\n\n".join(part.strip() for part in parts) + "\n").encode())


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpyro", "numpy"))
    return f"Machine: {platform.machine()}, {os.cpu_count()} cores; {packages}."


def _overview(done: Sequence[Reproduced]) -> str:
    """How many rows agree, by experiment and setting; our optimiser and the paper's apart."""
    columns = (
        Column("experiment"),
        Column("as"),
        Column("optimiser"),
        *(Column(each.value) for each in Agreement if each is not Agreement.NONE),
        Column("without reference"),
    )
    rows: list[list[Cell]] = []
    for one in done:
        campaign = one.summary.campaign
        for ours in (True, False):
            of = [row.agreement for row in one.summary.rows if row.arm.ours is ours]
            if of:
                counts = [of.count(each) for each in Agreement]
                names = [campaign.settings.experiment, campaign.plan.setting.value]
                rows.append([*names, "ours" if ours else "Adam", *counts])
    table = markdown_table(columns, rows)
    return f"## In short\n\nRows whose losses agree with the reference:\n\n{table}"


def _heading(settings: Settings) -> str:
    parts = [f"## {settings.title} ({settings.figures})"]
    if settings.statements:
        columns = (Column("the paper says"), Column("holds"), Column("what was found"))
        rows = [[each.says, each.holds, each.why] for each in settings.statements]
        parts.append(markdown_table(columns, rows))
    return "\n\n".join(parts)


def _section(one: Reproduced, images: Path) -> str:
    summary = one.summary
    campaign = summary.campaign
    setting = campaign.plan.setting
    title = "As the paper states it" if setting is Setting.PAPER else "As the code ran it"
    parts = [f"### {title}", summary.remark, _schedule(summary)]
    parts.append(markdown_table(LOSS_COLUMNS, loss_rows(summary)))
    why = reasons(summary)
    if why:
        parts.append("Where they differ:\n\n" + "\n".join(f"* {reason}" for reason in why))
    parts.append(markdown_table(TIME_COLUMNS, time_rows(summary)))
    for name in one.files:
        if name.endswith(".png"):
            target = f"{campaign.stem}-{name}"
            with replacing(images / target) as stream:
                stream.write((one.folder / name).read_bytes())
            parts.append(f"![{_caption(summary, name)}](images/{target})")
    return "\n\n".join(parts)


def _schedule(summary: Summary) -> str:
    campaign = summary.campaign
    schedule = campaign.plan.schedules.get(campaign.schedule)
    if schedule is None:
        return "The paper's optimiser is not run."
    cut = f" What is cut: {schedule.cut}." if schedule.cut else ""
    return (
        f"The paper's optimiser takes {schedule.draws} draws per step and "
        f"{schedule.iterations} steps, if nothing else is said.{cut}"
    )


def _caption(summary: Summary, name: str) -> str:
    what = {
        "paths_iterations.png": "ELBO against iterations, one line per seed",
        "paths_seconds.png": "ELBO against wall time, one line per seed",
        "losses.png": "final losses across seeds",
        "iterations.png": "iterations to 1 % across seeds",
        "windows.png": "the gap to F-VI against the half-width of the window",
    }.get(name, name)
    return f"{summary.campaign.settings.title}: {what}"
