import jax
import pytest

import amortis
from amortis._errors import ArgumentError
from amortis.cli.choices import parse_globals, parse_inference, parse_optimiser, require_at_least


@pytest.mark.parametrize(
    ("parse", "text", "choice"),
    [
        (parse_inference, "constant", amortis.Constant()),
        (parse_inference, "table", amortis.Table()),
        (parse_inference, "polynomial", amortis.Polynomial()),
        (parse_inference, "polynomial:2", amortis.Polynomial(2)),
        (parse_inference, "mlp", amortis.MLP()),
        (parse_inference, "iterative", amortis.Iterative()),
        (parse_inference, "iterative:8", amortis.Iterative(steps=8)),
        (parse_inference, "iterative:8x2", amortis.Iterative(steps=8, draws=2)),
        (parse_inference, "gradient-ascent:3x4", amortis.GradientAscent(steps=3, draws=4)),
        (parse_inference, "gradient-ascent", amortis.GradientAscent()),
        (parse_inference, "gradient-ascent:20", amortis.GradientAscent(steps=20)),
        (parse_inference, " MLP:32x1 ", amortis.MLP(width=32, depth=1)),
        (parse_globals, "diagonal", amortis.DiagonalNormal()),
        (parse_globals, "point", amortis.Point()),
        (parse_optimiser, "fixed", amortis.FixedDraws()),
        (parse_optimiser, "fixed:64", amortis.FixedDraws(draws=64)),
        (parse_optimiser, "fresh", amortis.FreshDraws()),
        (parse_optimiser, "fresh:1024", amortis.FreshDraws(batch=1024)),
        (parse_optimiser, "adam", amortis.ConstantRate(1e-3, iterations=1000)),
        (parse_optimiser, "adam:20x9", amortis.ConstantRate(1e-3, iterations=20, batch=9)),
    ],
)
def test_text_becomes_the_object(parse, text, choice) -> None:
    parsed = parse(text)
    assert type(parsed) is type(choice)
    # Choices hold settings only, which make up their tree structure.
    assert jax.tree.structure(parsed) == jax.tree.structure(choice)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_inference, "polinomial", "--inference is 'polinomial'; .*did you mean 'polynomial'"),
        (parse_inference, "iterative:0", "--inference is 'iterative:0': Iterative steps is 0"),
        (parse_inference, "gradient-ascent:x", "--inference is 'gradient-ascent:x'; expected"),
        (parse_inference, "gp", "--inference is 'gp'; expected constant, table"),
        (parse_inference, "", "--inference is ''; expected constant, table"),
        (parse_inference, "polynomial:", "with whole numbers"),
        (parse_inference, "polynomial:two", "with whole numbers"),
        (parse_inference, "polynomial:1.5", "with whole numbers"),
        (parse_inference, "polynomial:0", "'polynomial:0': .*degree is 0; expected at least 1"),
        (parse_inference, "polynomial:-3", "degree is -3"),
        (parse_inference, "constant:1", "with whole numbers"),
        (parse_inference, "mlp:16", r"mlp\[:WIDTHxDEPTH\], .*with whole numbers"),
        (parse_inference, "mlp:0x2", "width is 0"),
        (parse_globals, "dots", "--globals is 'dots'; expected diagonal, point, full-rank"),
        (parse_optimiser, "fixd", "--optimiser is 'fixd'; .*did you mean 'fixed'"),
        (parse_optimiser, "fixed:0", "draws is 0"),
        (parse_optimiser, "fresh:-1", "batch is -1"),
        (parse_optimiser, "adam:20", "expected fixed"),
        (parse_optimiser, "adam:0x9", "iterations is 0"),
    ],
)
def test_what_is_no_choice_is_refused_in_one_line(parse, text, message) -> None:
    with pytest.raises(ArgumentError, match=message) as refusal:
        parse(text)
    assert "\n" not in str(refusal.value)


def test_numbers_that_are_too_small_are_refused() -> None:
    require_at_least("--draws", 1, 1, "never said")
    with pytest.raises(ArgumentError, match="--draws is 0; expected at least 1: leave it out"):
        require_at_least("--draws", 0, 1, "leave it out")
