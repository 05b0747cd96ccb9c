"""`FILE.py:NAME` on the command line becomes the user's function."""

import importlib.util
import linecache
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from amortis._errors import ArgumentError, MissingFileError, ModelRaisedError, first_line

_EXAMPLE = "such as examples/linear.py:model"


def load_model(where: str) -> Callable[..., Any]:
    """Run a Python file and return the function of that name in it.

    The file is run as `python FILE.py` would, with its folder on the path of imports, but with
    another `__name__` than `__main__`.

    Args:
        where: file and function, as in `examples/linear.py:model`.

    Returns:
        The function.

    Raises:
        MissingFileError: there is no such file.
        ArgumentError: the text has no such form, the file has no such name, or what has this name
            cannot be called.
        ModelRaisedError: the file raised; its own exception is the cause.
    """
    file, separator, name = where.rpartition(":")
    if not separator or not name.isidentifier() or not file.endswith(".py"):
        raise ArgumentError(f"MODEL is '{where}'; expected a file and a function, {_EXAMPLE}")
    path = Path(file)
    if not path.is_file():
        raise MissingFileError(f"there is no file '{file}'; {_near_file(path)}")
    module = _run(path)
    functions = [key for key, value in vars(module).items() if _is_own(value, module)]
    if not hasattr(module, name):
        near = get_close_matches(name, functions, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has {_listed(functions)}"
        raise ArgumentError(f"'{file}' defines no '{name}'; {hint}")
    function = getattr(module, name)
    if not callable(function):
        raise ArgumentError(
            f"'{name}' in '{file}' is a {type(function).__name__}; expected the model as a "
            f"function: it has {_listed(functions)}"
        )
    return function


@contextmanager
def naming_the_line(where: str) -> Generator[None, None, None]:
    """Say at which line of the user's file the model raised, if it does so in this context.

    Args:
        where: file and function, as for `load_model`.

    Raises:
        ModelRaisedError: the same again, with the line.
    """
    try:
        yield
    except ModelRaisedError as error:
        place = place_in(error.__cause__, where.rpartition(":")[0])
        raise ModelRaisedError(f"{error} ({place})" if place else str(error)) from error.__cause__


def place_in(error: BaseException | None, file: str) -> str:
    """Say at which line of a file an exception, or one that caused it, passed.

    Args:
        error: the exception; None has no place.
        file: the file.

    Returns:
        File, line number and the line, as in `model.py:12: x + y`; empty if it never was there.
    """
    resolved = Path(file).resolve()
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename and Path(error.filename) == resolved:
            return f"{file}:{error.lineno}: {(error.text or '').strip()}"
        frames = traceback.extract_tb(error.__traceback__)
        for frame in reversed(frames):
            if Path(frame.filename).resolve() == resolved and frame.lineno is not None:
                line = linecache.getline(frame.filename, frame.lineno).strip()
                return f"{file}:{frame.lineno}: {line}"
        error = error.__cause__
    return ""


def _run(path: Path) -> ModuleType:
    name = f"_amortis_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[name] = module  # dataclasses and typing look a module up by its name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        place = place_in(error, str(path))
        raise ModelRaisedError(
            f"'{path}' raised {type(error).__name__} when it was read: {_first_line(error)}"
            + (f" ({place})" if place else "")
        ) from error
    return module


def _is_own(value: Any, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _first_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg
    return first_line(error)


def _near_file(path: Path) -> str:
    if path.is_dir():
        return f"it is a folder: name a file inside it, {_EXAMPLE}"
    if not path.parent.is_dir():
        return f"nor a folder '{path.parent}': check the path"
    near = get_close_matches(path.name, [entry.name for entry in path.parent.glob("*.py")], n=1)
    return f"did you mean '{path.parent / near[0]}'?" if near else "check the path"


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) if names else "no functions"
