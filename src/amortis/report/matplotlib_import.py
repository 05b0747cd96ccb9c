"""The one door to matplotlib, which is optional."""

from typing import Any

from amortis._errors import MissingDependencyError


def new_figure(width: float, height: float) -> Any:
    """Make an empty figure that draws without a screen.

    Neither `pyplot` nor matplotlib's settings are touched: the figure is the caller's alone and is
    collected with its last reference.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        A `matplotlib.figure.Figure`; matplotlib is not typed here, as it may be missing.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "plots need matplotlib, which is not installed; expected the plots extra: run "
            'pip install "amortis[plots]"'
        ) from error
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
