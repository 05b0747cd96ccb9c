"""What is said of a row that is pointed at, for all rows that a page shows."""

from typing import Any

import numpy as np

from amortis.diagnostics import Diagnosis
from amortis.fitting import Fit
from amortis.report.diagnosis_series import columns_of_rows
from amortis.report.function_series import FunctionValues
from amortis.report.markup import shown_name
from amortis.report.row_sample import RowSample
from amortis.report.ticks import number


def row_table(
    fitted: Fit, diagnosis: Diagnosis | None, sample: RowSample, values: FunctionValues | None
) -> list[list[Any]]:
    """What is said of each row that is shown.

    Args:
        fitted: the fit.
        diagnosis: of that fit.
        sample: the rows.
        values: their factors.

    Returns:
        Columns, each a heading and one text per row, with units.
    """
    rows = sample.rows
    table: list[list[Any]] = [["row", [f"{i:,}" for i in rows.tolist()]]]
    columns = columns_of_rows(fitted.model, diagnosis)
    for j, name in enumerate(columns.names):
        if name != "row":
            table.append([shown_name(name), _texts(columns.values[rows, j])])
    if diagnosis is not None:
        gaps, ses = _texts(diagnosis.row_gaps[rows], 3), _texts(diagnosis.row_gap_ses[rows], 2)
        table.append(["gap", [f"{g} ± {se} nats" for g, se in zip(gaps, ses, strict=True)]])
        table.append(["k-hat", _texts(diagnosis.row_k[rows], 2)])
    if values is not None:
        name = values.names[0]
        blank = np.full(len(rows), np.nan)
        for what, of in (("function", values.mean), ("own optimum", values.best_mean)):
            column = blank.copy()
            column[values.place] = of[:, 0]
            texts = ["not looked for" if np.isnan(v) else number(float(v), 4) for v in column]
            table.append([f"mean of {name}, {what}", texts])
    return table


def _texts(values: np.ndarray, digits: int = 4) -> list[str]:
    return [number(float(v), digits) for v in values]
