"""TOML to settings, with one clear line for whatever is missing, misspelled or out of range."""

import math
import tomllib
from importlib.resources import files

from amortis._errors import DataError
from amortis.experiments.comparison import Setting
from amortis.experiments.settings.records import (
    Expected,
    Method,
    Plan,
    Schedule,
    ScheduleName,
    Settings,
    Statement,
)
from amortis.experiments.settings.table import SettingsTable

_FUNCTIONS = ("constant", "table", "polynomial", "mlp", "default")


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
    top = SettingsTable(content, f"settings of '{experiment}'")
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
        statements=tuple(_statement(table) for table in top.tables("statements", [])),
    )
    top.finish()
    return settings


def _statement(table: SettingsTable) -> Statement:
    statement = Statement(table.text("says"), table.text("holds"), table.text("why"))
    table.finish()
    return statement


def _method(table: SettingsTable) -> Method:
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


def _plan(table: SettingsTable, setting: Setting, methods: tuple[str, ...]) -> Plan:
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
    )
    table.finish()
    return plan


def _schedule(table: SettingsTable, methods: tuple[str, ...]) -> Schedule:
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


def _expected(table: SettingsTable) -> Expected:
    iterations = table.numbers("iterations", float, (math.nan,) * 3)
    if len(iterations) != 3:
        raise table.refuse("iterations", iterations, 'three numbers or "never"')
    expected = Expected(
        best=table.number("best", math.nan),
        median=table.number("median", math.nan),
        iterations=(iterations[0], iterations[1], iterations[2]),
        worst=table.number("worst", math.nan),
        succeeded=table.number("succeeded", math.nan),
        rounding=table.number("rounding", 0.01),
        failures=table.text("failures", ""),
        reason=table.text("reason", ""),
    )
    table.finish()
    return expected
