"""Pure mathematics: draws from the standard normal, Gaussian algebra, sums that keep their digits.

Nothing here knows a model, a guide or an optimiser; only arrays come in and arrays go out.
"""

from amortis.numerics.compiling import run_rarely
from amortis.numerics.draws import (
    antithetic,
    crossed,
    gauss_hermite,
    low_discrepancy,
    reflected,
    shuffled,
)
from amortis.numerics.gaussian import entropy, log_density
from amortis.numerics.groups import Groups, Members, group_sums
from amortis.numerics.host_random import (
    forked,
    normals,
    on_device,
    on_host,
    uniform_of,
    zeros,
)
from amortis.numerics.tree_sum import tree_sum

__all__ = [
    "Groups",
    "Members",
    "antithetic",
    "crossed",
    "entropy",
    "forked",
    "gauss_hermite",
    "group_sums",
    "log_density",
    "low_discrepancy",
    "normals",
    "on_device",
    "on_host",
    "reflected",
    "run_rarely",
    "shuffled",
    "tree_sum",
    "uniform_of",
    "zeros",
]
