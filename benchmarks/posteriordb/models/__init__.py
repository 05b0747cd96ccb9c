"""The models, as a user of NumPyro writes them: a function of the data, by their names in the file.

Sites have the names of the reference's parameters. The models of two ordinary differential
equations need diffrax; they are imported only when asked for.
"""

import importlib
from collections.abc import Callable

_FILES = {
    "arK": "time_series",
    "blr": "priors",
    "diamonds": "priors",
    "eight_schools_noncentered": "eight_schools",
    "garch11": "time_series",
    "gp_regr": "gaussian_process",
    "kidscore_interaction": "regressions",
    "logearn_interaction": "regressions",
    "lotka_volterra": "lotka_volterra",
    "low_dim_gauss_mix": "mixture",
    "nes": "regressions",
    "one_comp_mm_elim_abs": "one_compartment",
}

NAMES = tuple(_FILES)


def model(name: str) -> Callable[..., None]:
    """The model of this name."""
    module = importlib.import_module(f".{_FILES[name]}", __package__)
    return getattr(module, name)
