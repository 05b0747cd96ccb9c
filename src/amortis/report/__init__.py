"""What a person reads: tables, plots, and a fit's numbers as plain data.

May enter: fits, their histories and moments, verdicts, arrays. What leaves is text, dictionaries
of plain values, and files; nothing here optimises or prints.
"""

from amortis.data import replacing
from amortis.report.numbers import fit_numbers, flat_entries
from amortis.report.page import report
from amortis.report.panel_plot import (
    plot_calibration,
    plot_function,
    plot_gap,
    plot_k_hat,
    plot_steps,
)
from amortis.report.plots import plot_elbo, plot_globals, plot_images
from amortis.report.table import Cell, Column, markdown_table, text_table
from amortis.report.verdict_plot import plot_verdict, verdict_figure
from amortis.report.verdict_svg import verdict_graph

__all__ = [
    "Cell",
    "Column",
    "fit_numbers",
    "flat_entries",
    "markdown_table",
    "plot_calibration",
    "plot_elbo",
    "plot_function",
    "plot_gap",
    "plot_globals",
    "plot_images",
    "plot_k_hat",
    "plot_steps",
    "plot_verdict",
    "replacing",
    "report",
    "text_table",
    "verdict_figure",
    "verdict_graph",
]
