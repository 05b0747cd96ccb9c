import math

import pytest

import amortis
from amortis import DataError
from amortis.experiments.comparison import Setting
from amortis.experiments.runs import Arm, arms_of
from amortis.experiments.settings import NEVER, ScheduleName, parse_settings, read_settings
from amortis.experiments.tasks import TASKS

TINY = """
title = "Tiny"
figures = "none"
seeds = 2

[sizes]
rows = 20

[[methods]]
name = "F-VI"
function = "table"

[[methods]]
name = "A-VI"
function = "mlp"
width = 3
window = [-1, 0]
seeds = 4

[code]
skip = false

[code.rates]
default = [1e-2]
"A-VI" = [1e-2, 1e-3]

[code.published]
draws = 100
iterations = 5000

[code.short]
draws = 2
iterations = 40
cut = "most of it"

[code.short.iterations_of]
"A-VI" = 60

[code.expected."F-VI"]
best = 7.5
iterations = [30, nan, "never"]
"""


@pytest.mark.parametrize("experiment", TASKS)
def test_the_settings_of_every_experiment_can_be_read(experiment) -> None:
    settings = read_settings(experiment)
    assert settings.seeds == 10
    assert settings.plans
    for plan in settings.plans.values():
        assert set(plan.rates) == {method.name for method in settings.methods}
        assert set(plan.expected) <= set(plan.rates)
        published, short = (plan.schedules[name] for name in ScheduleName)
        assert published.draws == 100 and not published.cut
        assert short.draws < published.draws and short.cut
        assert short.iterations <= published.iterations
    names = [method.name for method in settings.methods]
    assert len(set(names)) == len(names)


def test_the_printed_values_stand_in_the_files() -> None:
    nonlinear = read_settings("nonlinear").plans[Setting.CODE].expected
    assert nonlinear["A-VI, k = 32"].best == 32385.38
    assert nonlinear["A-VI, k = 2"].iterations == (60, 540, NEVER)
    saw = read_settings("saw").plans[Setting.CODE].expected["A-VI, (x_{n-1}, x_n), k = 2"]
    assert (saw.best, *saw.iterations) == (553.05, 5405, 6870, 9085)
    linear = read_settings("linear").plans[Setting.CODE]
    # F-VI is printed at 1e-3 and A-VI at 1e-2; both are run at both.
    assert linear.rates["F-VI"] == (1e-3, 1e-2) and linear.rates["A-VI, d = 1"] == (1e-2, 1e-3)


def test_a_method_becomes_the_function_it_names() -> None:
    settings = parse_settings(TINY, "tiny")
    table, windowed = (method.inference(skip=False) for method in settings.methods)
    assert table == amortis.Table()
    assert windowed == amortis.Windowed(amortis.MLP(3, skip=False), (-1, 0))
    skipping = settings.methods[1].inference(skip=True)
    assert skipping == amortis.Windowed(amortis.MLP(3), (-1, 0))


def test_arms_are_ours_and_the_papers_at_each_rate() -> None:
    settings = parse_settings(TINY, "tiny")
    plan = settings.plans[Setting.CODE]
    table, windowed = settings.methods
    assert arms_of(table, plan, ScheduleName.SHORT) == (Arm(), Arm(1e-2, 2, 40))
    three = arms_of(windowed, plan, ScheduleName.SHORT)
    assert three == (Arm(), Arm(1e-2, 2, 60), Arm(1e-3, 2, 60))
    assert [arm.name for arm in three] == ["ours", "Adam 0.01", "Adam 0.001"]
    assert three[0].optimiser() is None
    assert three[2].optimiser() == amortis.ConstantRate(1e-3, iterations=60, draws=2)
    assert arms_of(windowed, plan, ScheduleName.PUBLISHED)[1] == Arm(1e-2, 100, 5000)
    expected = plan.expected["F-VI"]
    assert math.isnan(expected.iterations[1]) and expected.iterations[2] == NEVER
    assert expected.best == 7.5 and math.isnan(expected.median)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Tiny"', "title = Tiny", "are not TOML"),
        ("seeds = 2\n", "", "settings of 'tiny': seeds is missing"),
        ("seeds = 2\n", "seeds = 0\n", "seeds is 0; expected a whole number of at least 1"),
        ("seeds = 2\n", 'seeds = "2"\n', "seeds is '2'; expected a whole number"),
        ('function = "mlp"', 'function = "mpl"', "function is 'mpl'; expected one of constant"),
        ("width = 3", "widht = 3", r"\[\[methods\]\] 2: 'widht' is not a .* 'width'"),
        ("default = [1e-2]", 'default = "1e-2"', "default is '1e-2'; expected a list"),
        ('"A-VI" = [1e-2, 1e-3]', '"A-VY" = [1e-2]', r"'A-VY' is no method.*mean 'A-VI'"),
        ('expected."F-VI"', 'expected."FVI"', "'FVI' is no method"),
        ('[30, nan, "never"]', "[30, 2]", 'expected three numbers or "never"'),
        ('[30, nan, "never"]', '[30, 2, "often"]', "is 'often'; expected a number"),
        ("skip = false", "skip = 0", "skip is 0; expected true or false"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(old, new, message) -> None:
    assert old in TINY
    with pytest.raises(DataError, match=message) as caught:
        parse_settings(TINY.replace(old, new), "tiny")
    assert "\n" not in str(caught.value).removesuffix("\n")
