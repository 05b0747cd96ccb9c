"""What is told of an exception that a user's code has raised."""

import pytest

from amortis._errors import first_line


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError("  no such column\nand more"), "no such column"),
        (ValueError("no such column\r\nand more"), "no such column"),
        (ValueError(), ""),
    ],
)
def test_the_first_line_that_it_says(raised, expected) -> None:
    assert first_line(raised) == expected


def test_one_that_says_nothing_is_told_by_its_line_of_code() -> None:
    with pytest.raises(AssertionError) as raised:
        _positive(-1.0)
    assert first_line(raised.value).startswith("`raise AssertionError  # of")
    assert first_line(raised.value).endswith(" of test_first_line.py")


def test_code_that_is_in_no_file_is_told_by_its_place() -> None:
    with pytest.raises(AssertionError) as raised:
        exec(compile("\nassert False", "<typed>", "exec"))
    assert first_line(raised.value) == "line 2 of <typed>"


def _positive(value: float) -> None:
    if value <= 0.0:
        raise AssertionError  # of a user, without a word
