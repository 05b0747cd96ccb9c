"""The model's arguments: arrays from data files, plain values from `--set`."""

import ast
import inspect
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from amortis._errors import ArgumentError, DataError
from amortis.cli.choices import nearest
from amortis.data import (
    UNNAMED,
    argument_names,
    array_names,
    match_arguments,
    match_names,
    read_arrays,
)


def parse_set(function: Callable[..., Any], settings: Sequence[str]) -> dict[str, Any]:
    """Read `NAME=VALUE` pairs for a function's arguments.

    Args:
        function: the model, for the names of its arguments.
        settings: the pairs; a value is a Python literal (`2.5`, `True`, `(1, 2)`), else text.

    Returns:
        Values by argument.

    Raises:
        ArgumentError: a pair has no `=`, its name is no argument, or comes twice.
    """
    names = argument_names(function)
    takes_any = takes_any_name(function)
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ArgumentError(f"--set is '{setting}'; expected NAME=VALUE, such as sd=2.5")
        if name in values:
            raise ArgumentError(f"--set gives '{name}' twice; expected one value: remove one")
        if name not in names and not takes_any:
            raise ArgumentError(
                f"--set names '{name}', which is no argument of the model; {nearest(name, names)}"
            )
        values[name] = _literal(text)
    return values


def takes_any_name(function: Callable[..., Any]) -> bool:
    """Whether a function gathers further arguments, as `**options`."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def read_data(
    function: Callable[..., Any], files: Sequence[str], given: Collection[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read the model's arrays from data files, by name.

    Each argument gets the array of its own name from whichever file has it. A file that holds one
    array goes to the argument it was named for, as in `y=labels.idx`; one whose array has no name
    (IDX) goes to the only required argument that is left.

    Args:
        function: the model.
        files: the files, each perhaps with an argument's name and `=` before it.
        given: arguments that have their values already.

    Returns:
        Arrays by argument, and the names of arrays in the files that no argument uses.

    Raises:
        DataError: a file is missing or not as expected, two files have an array of one name, or
            an argument has none.
    """
    claims, owners, loose = _survey(function, files)
    for file in loose:
        waiting = _without(function, [*given, *claims, *owners])
        pairs, _ = match_names(waiting, [UNNAMED], file)
        claims |= {argument: (file, UNNAMED) for argument in pairs}
    waiting = _without(function, [*given, *claims])
    pairs, unused = match_names(waiting, list(owners), " and ".join(files))
    taken = {*given, *claims}
    claims |= {to: (owners[name], name) for to, name in pairs.items() if to not in taken}
    arrays: dict[str, Any] = {}
    for file in dict.fromkeys(file for file, _ in claims.values()):
        names = {to: name for to, (owner, name) in claims.items() if owner == file}
        read = read_arrays(file, only=set(names.values()))
        others = [name for name in argument_names(function) if name not in names]
        mine = {to: read[name] for to, name in names.items()}
        arrays |= match_arguments(_without(function, others), mine, file)[0]
    return arrays, unused


def _survey(
    function: Callable[..., Any], files: Sequence[str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str], list[str]]:
    """What the files hold: arrays named by the user, which file has which name, and the rest."""
    claims: dict[str, tuple[str, str]] = {}
    owners: dict[str, str] = {}
    loose: list[str] = []
    for text in files:
        argument, file = _split(function, text)
        names = array_names(file)
        if argument and len(names) != 1:
            raise DataError(
                f"--data is '{text}', and that file has {len(names)} arrays; expected one to give "
                f"to '{argument}': leave out '{argument}=', so that names decide"
            )
        if argument:
            claims[argument] = (file, names[0])
            continue
        for name in names:
            if name == UNNAMED:
                loose.append(file)
            elif name in owners:
                raise DataError(
                    f"both '{owners[name]}' and '{file}' have an array '{name}'; expected it once: "
                    f"remove or rename one"
                )
            else:
                owners[name] = file
    return claims, owners, loose


def _split(function: Callable[..., Any], text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if equals and name in argument_names(function) and not Path(text).exists():
        return name, file
    return "", text


def _without(function: Callable[..., Any], arguments: Collection[str]) -> Callable[..., Any]:
    """The function with no need for some arguments, under its own name for messages."""
    known = argument_names(function)
    bound = partial(function, **{name: None for name in arguments if name in known})
    bound.__name__ = getattr(function, "__name__", type(function).__name__)  # pyright: ignore
    return bound


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
