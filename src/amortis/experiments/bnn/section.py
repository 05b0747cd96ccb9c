"""The neural network's part of the page on the paper."""

from collections.abc import Sequence
from pathlib import Path

from amortis.data import replacing
from amortis.experiments.bnn.fits import BnnResult
from amortis.report import Cell, Column, markdown_table

_COLUMNS = (
    Column("what"),
    Column("quantity"),
    Column("reference", form=".4g"),
    Column("result", form=".4g"),
    Column("time", "s", ".0f"),
    Column("note"),
)

_CAPTIONS = {
    "mse.png": "reconstruction error against epochs and against seconds of steps",
    "reconstructions.png": "images, and what each method makes of them",
}


def page_section(results: Sequence[tuple[BnnResult, Sequence[Path]]], images: Path) -> str:
    """Tables, statements and pictures of the schedules that were run.

    Args:
        results: with the files of each, of which the pictures are copied.
        images: folder of the page's pictures; it must exist.

    Returns:
        Markdown.

    Raises:
        ArgumentError: a picture cannot be written.
    """
    settings = results[0][0].settings
    parts = [f"## {settings.title} ({settings.figures})"]
    columns = (Column("the paper says"), Column("holds"), Column("what was found"))
    rows: list[list[Cell]] = [[each.says, each.holds, each.why] for each in settings.statements]
    parts.append(markdown_table(columns, rows))
    for result, files in results:
        found = result.reproduction()
        table = markdown_table(
            _COLUMNS,
            [
                [
                    line.name,
                    line.quantity,
                    _known(line.reference),
                    _known(line.result),
                    line.seconds,
                    line.note,
                ]
                for line in found.lines
            ],
        )
        parts += [f"### {found.title}", found.remark, table]
        for path in files:
            caption = [text for end, text in _CAPTIONS.items() if path.name.endswith(end)]
            if caption:
                with replacing(images / path.name) as stream:
                    stream.write(path.read_bytes())
                parts.append(f"![{settings.title}: {caption[0]}](images/{path.name})")
    return "\n\n".join(parts)


def _known(value: float) -> float | None:
    return value if value == value else None  # NaN is what is not known
