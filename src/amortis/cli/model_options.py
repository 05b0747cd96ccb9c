"""How a model and its data are named on the command line, the same in every command."""

from typing import Annotated

import typer

ModelPlace = Annotated[
    str, typer.Argument(metavar="FILE.py:MODEL", help="The NumPyro model, a function.")
]
"""Where the model is; for `load_model`."""

DataFiles = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="FILE",
        help="CSV, Parquet, NPZ or IDX; its arrays go to arguments of the same name. May be "
        "repeated; NAME=FILE gives a file's one array to an argument.",
    ),
]
"""Where the data are; for `read_data`."""

MaybeDataFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="FILE", help="The data to fit to, as of `amortis fit`; or give --fit."
    ),
]
"""Where the data are, for commands that can do without."""

PlainArguments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A plain argument. May be repeated."),
]
"""What else the model takes; for `parse_set`."""

LocalName = Annotated[
    str | None, typer.Option(help="The local plate, or a local site, if several could be.")
]
"""What holds the locals."""
