"""The Bayesian neural network on images: settings, model, fits with their errors, comparison.

May enter: images, and fits of the one model. Figures 5 and 9 of Margossian & Blei (2024).
"""

from amortis.experiments.bnn.figures import write_figures
from amortis.experiments.bnn.fits import BnnResult, run, run_bnn

__all__ = ["BnnResult", "run", "run_bnn", "write_figures"]
