"""A table of a settings file, read key by key with one clear line for whatever is wrong."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from amortis._errors import DataError
from amortis.experiments.settings.records import NEVER

_Value = TypeVar("_Value")


class SettingsTable:
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

    def table(self, name: str, default: Mapping[str, Any] | None = None) -> "SettingsTable":
        """A table inside this one."""
        value = self._get(name, default)
        if not isinstance(value, Mapping):
            raise self.refuse(name, value, "a table")
        return SettingsTable(value, f"{self.where}, [{name}]")

    def tables(self, name: str, default: list[Any] | None = None) -> "list[SettingsTable]":
        """An array of tables."""
        values = self._get(name, default)
        if not isinstance(values, list) or not all(isinstance(v, Mapping) for v in values):
            raise self.refuse(name, values, f"tables [[{name}]]")
        return [
            SettingsTable(value, f"{self.where}, [[{name}]] {i + 1}")
            for i, value in enumerate(values)
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
