"""TOML to settings, with one clear line for whatever is missing, misspelled or out of range."""

import math
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, TypeVar

from amortis._errors import DataError
from amortis.experiments.comparison import Setting
from amortis.experiments.settings.records import (
    NEVER,
    Expected,
    Method,
    Plan,
    Schedule,
    ScheduleName,
    Settings,
)

_FUNCTIONS = ("constant", "table", "polynomial", "mlp", "default")
_Value = TypeVar("_Value")


def read_settings(experiment: str) -> Settings:
    """Read the settings of an experiment that come with the library.

    Args:
        experiment: name of a file beside this one, without ending.

    Raises:
        DataError: the file is not as expected.
    """
    name = f"{experiment}.toml"
    text = (files("amortis.experiments.settings") / name).read_text(encoding="utf8")
    return parse_settings(text, experiment)


def parse_settings(text: str, experiment: str) -> Settings:
    """Turn the text of a settings file into records.

    Args:
        text: TOML.
        experiment: the experiment's name, for the records and for messages.

    Returns:
        The settings.

    Raises:
        DataError: no TOML, an unknown or missing key, a value of the wrong kind, or a name of a
            method that is not among the methods.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f"settings of '{experiment}' are not TOML: {error}; expected a file such as "
            f"linear.toml: mend that line"
        ) from error
    top = _Table(content, f"settings of '{experiment}'")
    methods = tuple(_method(table) for table in top.tables("methods"))
    names = tuple(method.name for method in methods)
    plans = {
        setting: _plan(top.table(setting.value), setting, names)
        for setting in Setting
        if setting.value in content
    }
    sizes = top.table("sizes")
    settings = Settings(
        experiment=experiment,
        title=top.text("title"),
        figures=top.text("figures"),
        seeds=top.count("seeds"),
        sizes={name: sizes.count(name) for name in sizes.content},
        methods=methods,
        plans=plans,
    )
    top.finish()
    return settings


def _method(table: "_Table") -> Method:
    name = table.text("name")
    function = table.text("function")
    if function not in _FUNCTIONS:
        raise table.refuse("function", function, f"one of {', '.join(_FUNCTIONS)}")
    method = Method(
        name=name,
        function=function,
        width=table.count("width", 16),
        depth=table.count("depth", 2),
        degree=table.count("degree", 1),
        window=tuple(table.numbers("window", int, ())),
        data=table.text("data", ""),
        seeds=table.count("seeds", 0) or None,
    )
    table.finish()
    return method


def _plan(table: "_Table", setting: Setting, methods: tuple[str, ...]) -> Plan:
    rates = table.table("rates")
    shared = tuple(rates.numbers("default", float, ()))
    own = {name: tuple(rates.numbers(name, float)) for name in rates.content if name != "default"}
    expected = table.table("expected", {})
    for part in (rates, expected):
        part.require_known(methods, besides=("default",))
    plan = Plan(
        setting=setting,
        skip=table.flag("skip"),
        schedules={
            name: _schedule(table.table(name.value), methods)
            for name in ScheduleName
            if name.value in table.content or any((shared, *own.values()))
        },
        rates={name: own.get(name, shared) for name in methods},
        expected={name: _expected(expected.table(name)) for name in expected.content},
        statements=tuple(table.texts("statements")),
    )
    table.finish()
    return plan


def _schedule(table: "_Table", methods: tuple[str, ...]) -> Schedule:
    others = table.table("iterations_of", {})
    others.require_known(methods)
    schedule = Schedule(
        draws=table.count("draws"),
        iterations=table.count("iterations"),
        iterations_of={name: others.count(name) for name in others.content},
        cut=table.text("cut", ""),
    )
    table.finish()
    return schedule


def _expected(table: "_Table") -> Expected:
    iterations = table.numbers("iterations", float, (math.nan,) * 3)
    if len(iterations) != 3:
        raise table.refuse("iterations", iterations, 'three numbers or "never"')
    expected = Expected(
        best=table.number("best", math.nan),
        median=table.number("median", math.nan),
        iterations=(iterations[0], iterations[1], iterations[2]),
        failures=table.text("failures", ""),
        reason=table.text("reason", ""),
    )
    table.finish()
    return expected


class _Table:
    """A TOML table that knows where it stands, and which of its keys were asked for."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self.content = content
        self.where = where
        self._asked: set[str] = set()

    def refuse(self, name: str, came: Any, expected: str) -> DataError:
        """An error on one key."""
        return DataError(f"{self.where}: {name} is {came!r}; expected {expected}: change it there")

    def _get(self, name: str, default: Any) -> Any:
        self._asked.add(name)
        if name in self.content:
            return self.content[name]
        if default is None:
            raise DataError(f"{self.where}: {name} is missing; expected it: add a line for it")
        return default

    def _of_kind(self, name: str, kind: type[_Value], default: _Value | None, what: str) -> _Value:
        value = self._get(name, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.refuse(name, value, what)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A string."""
        return self._of_kind(name, str, default, "text")

    def flag(self, name: str) -> bool:
        """True or false."""
        return self._of_kind(name, bool, None, "true or false")

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number of at least one, or the default."""
        value = self._of_kind(name, int, default, "a whole number of at least 1")
        if name in self.content and value < 1:
            raise self.refuse(name, value, "a whole number of at least 1")
        return value

    def number(self, name: str, default: float) -> float:
        """A number, or "never"."""
        return self._number(name, self._get(name, default))

    def _number(self, name: str, value: Any) -> float:
        if value == "never":
            return NEVER
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(name, value, 'a number or "never"')
        return float(value)

    def numbers(
        self,
        name: str,
        kind: Callable[[float], _Value],
        default: tuple[_Value, ...] | None = None,
    ) -> list[_Value]:
        """A list of numbers."""
        values = self._get(name, default)
        if not isinstance(values, list | tuple):
            raise self.refuse(name, values, "a list of numbers")
        return [kind(self._number(name, value)) for value in values]

    def texts(self, name: str) -> list[str]:
        """A list of strings, which may be left out."""
        values = self._get(name, [])
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(name, values, "a list of texts")
        return list(values)

    def table(self, name: str, default: Mapping[str, Any] | None = None) -> "_Table":
        """A table inside this one."""
        value = self._get(name, default)
        if not isinstance(value, Mapping):
            raise self.refuse(name, value, "a table")
        return _Table(value, f"{self.where}, [{name}]")

    def tables(self, name: str) -> "list[_Table]":
        """An array of tables."""
        values = self._get(name, None)
        if not isinstance(values, list) or not all(isinstance(v, Mapping) for v in values):
            raise self.refuse(name, values, f"tables [[{name}]]")
        return [
            _Table(value, f"{self.where}, [[{name}]] {i + 1}") for i, value in enumerate(values)
        ]

    def require_known(self, names: tuple[str, ...], besides: tuple[str, ...] = ()) -> None:
        """Refuse keys that are not among the names."""
        for key in self.content:
            if key not in (*names, *besides):
                near = get_close_matches(key, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the methods are {names}"
                raise DataError(f"{self.where}: {key!r} is no method; expected one: {hint}")

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        left = [key for key in self.content if key not in self._asked]
        if left:
            near = get_close_matches(left[0], sorted(self._asked), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "remove it"
            raise DataError(f"{self.where}: {left[0]!r} is not a setting; {hint}")
