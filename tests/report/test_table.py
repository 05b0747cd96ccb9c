import math

import pytest

from amortis.report import Column, markdown_table, text_table

COLUMNS = [Column("site"), Column("mean", "m", ".2f"), Column("n"), Column("note")]
ROWS = [
    ["theta", 3.14159, 5, "ok"],
    ["W[0,1]", -12.0, 10000, None],
    ["z", None, 7, "a|b"],
]


def test_text_aligns_numbers_right_and_text_left() -> None:
    assert text_table(COLUMNS, ROWS).split("\n") == [
        "site    mean (m)      n  note",
        "------  --------  -----  ----",
        "theta       3.14      5  ok",
        "W[0,1]    -12.00  10000  –",
        "z              –      7  a|b",
    ]


def test_markdown_aligns_by_its_rule_and_escapes_bars() -> None:
    assert markdown_table(COLUMNS, ROWS).split("\n") == [
        "| site | mean (m) | n | note |",
        "|---|---:|---:|---|",
        "| theta | 3.14 | 5 | ok |",
        "| W[0,1] | -12.00 | 10000 | – |",
        "| z | – | 7 | a\\|b |",
    ]


@pytest.mark.parametrize("table", [text_table, markdown_table])
def test_a_row_of_the_wrong_length_is_refused(table) -> None:
    with pytest.raises(ValueError):
        table(COLUMNS, [["theta", 1.0]])


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (math.nan, ".2f", "nan"),
        (math.inf, ".2f", "inf"),
        (1e-9, ".4g", "1e-09"),
        (10**6, ".2f", "1000000"),
    ],
)
def test_numbers_out_of_the_ordinary(value, form, shown) -> None:
    assert text_table([Column("v", form=form)], [[value]]).split("\n")[-1].strip() == shown


def test_a_table_without_rows_is_its_headings() -> None:
    assert text_table([Column("a"), Column("bcd")], []) == "a  bcd\n-  ---"
