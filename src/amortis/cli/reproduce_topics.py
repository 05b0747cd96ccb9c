"""`amortis reproduce topics`: amortized topic models beside scikit-learn's and factorized VI."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import typer

from amortis._errors import ArgumentError
from amortis.cli.choices import nearest, require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder
from amortis.data import replacing
from amortis.experiments.gaussian_vi import write_sheet
from amortis.experiments.reproduction import require_pictures
from amortis.experiments.topics import SHORT, load_corpus, run_topics, topics_sheet
from amortis.experiments.topics.sklearn_import import latent_dirichlet_allocation
from amortis.report import text_table

TOPICS = "topics"
"""Its name on the command line."""

_SCHEDULES = ("short",)


def reproduce_topics(
    schedule: str, seed: int, out: Path, page: Path | None, others: Mapping[str, object]
) -> int:
    """Run the experiment, and write its page, pictures and numbers.

    Args:
        schedule: short.
        seed: of the random key.
        out: folder; the files go to `topics` in it, finished runs to `runs` in that.
        page: where the page goes as well, its pictures to `images` beside it; None for nowhere.
        others: options by name that mean nothing here, if they were given.

    Returns:
        The exit code.

    Raises:
        ArgumentError: there is no such schedule, an option means nothing here, or the folder cannot
            be written.
        MissingFileError: 20 Newsgroups is not there.
        MissingDependencyError: scikit-learn or matplotlib is not installed.
    """
    for option, value in others.items():
        if value:
            raise ArgumentError(
                f"--{option} is given beside the experiment '{TOPICS}'; expected --schedule, "
                f"--seed, --out and --page only: leave it out"
            )
    require_at_least("--seed", seed, 0, "leave it out for 0")
    chosen = schedule.strip().casefold()
    if chosen not in _SCHEDULES:
        raise ArgumentError(
            f"--schedule is '{schedule}' for {TOPICS}; expected {' or '.join(_SCHEDULES)}: "
            f"{nearest(schedule, _SCHEDULES)}"
        )
    require_pictures()
    latent_dirichlet_allocation()
    corpus = load_corpus()
    folder = prepare_folder(prepare_folder(out) / TOPICS)
    images = None if page is None else prepare_folder(page.parent / "images", "pictures of --page")
    try:
        result = run_topics(
            corpus, SHORT, key=jax.random.key(seed), tell=_tell, folder=folder / "runs"
        )
    except KeyboardInterrupt:
        _tell(
            f"interrupted; what is finished is in '{folder}': the same command goes on from there"
        )
        return ExitCode.INTERRUPTED
    sheet = topics_sheet(result)
    options = f" --seed {seed}" if seed else ""
    names = write_sheet(sheet, folder, f"amortis reproduce {TOPICS}{options}")
    if page is not None and images is not None:
        _place(folder, names, page, images)
        names = [*names, str(page)]
    typer.echo(f"\n{sheet.title}")
    for table in sheet.tables[:2]:
        typer.echo(f"\n{text_table(table.columns, table.rows)}")
    typer.echo("\n" + "\n".join(sheet.learned))
    typer.echo(f"\nwritten to {folder}: {', '.join(names)}")
    return ExitCode.DONE


def _place(folder: Path, names: Sequence[str], page: Path, images: Path) -> None:
    """Copy the page, and its pictures to a folder beside it."""
    text = (folder / f"{TOPICS}.md").read_text(encoding="utf8")
    for name in names:
        if name.endswith(".png"):
            with replacing(images / name) as stream:
                stream.write((folder / name).read_bytes())
            text = text.replace(f"]({name})", f"]({images.name}/{name})")
    with replacing(page) as stream:
        stream.write(text.encode())


def _tell(line: str) -> None:
    typer.echo(f"amortis: {line}", err=True)
