"""What there is to compare with: Tables 1 and 2 of the course notes, and the exact values.

STAT 547, section 6.4. The tables print Stan's ADVI and its MCMC. The exact columns are this
project's own, by quadrature; `exact.py` finds them again.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from amortis.experiments.sir.quantities import Summaries, Summary


@dataclasses.dataclass(frozen=True)
class Reference:
    """One column of numbers.

    Attributes:
        name: whose they are.
        summaries: by quantity; quantiles are NaN where none are printed.
    """

    name: str
    summaries: Summaries


EXACT = Reference(
    "exact, by quadrature",
    {
        "gamma": Summary(0.5420, 0.0454, 0.472, 0.618),
        "beta": Summary(1.7349, 0.0528, 1.650, 1.825),
        "phi_inv": Summary(0.1375, 0.0748, 0.051, 0.279),
        "T": Summary(1.858, 0.157, 1.62, 2.12),
        "R0": Summary(3.222, 0.276, 2.81, 3.70),
    },
)

MEAN_FIELD = Reference(
    "optimum of the mean-field Gaussian",
    {
        "gamma": Summary(0.5399, 0.0396, 0.477, 0.608),
        "beta": Summary(1.7341, 0.0459, 1.660, 1.811),
        "phi_inv": Summary(0.1343, 0.0664, 0.056, 0.259),
        "T": Summary(1.862, 0.137, 1.65, 2.09),
        "R0": Summary(3.229, 0.252, 2.83, 3.66),
    },
)

ADVI = Reference(
    "table 1, ADVI as printed",
    {
        "gamma": Summary(0.537, 0.0416),
        "beta": Summary(1.75, 0.0499),
        "phi_inv": Summary(0.148, 0.0881),
        "T": Summary(1.87, 0.145),
        "R0": Summary(3.29, 0.267),
    },
)

MCMC = Reference(
    "table 2, MCMC as printed",
    {
        "gamma": Summary(0.541, 0.0450),
        "beta": Summary(1.74, 0.0537),
        "phi_inv": Summary(0.137, 0.0744),
        "T": Summary(1.86, 0.155),
        "R0": Summary(3.23, 0.276),
    },
)


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The mean-field optimum in (log γ, log β, log φ⁻¹), with the KL of both Gaussians.

    Attributes:
        mean: of the logarithms.
        sd: of the logarithms.
        kl: of the mean-field Gaussian, in nats.
        full_rank_kl: of the full-rank Gaussian, in nats.
    """

    mean: Float[np.ndarray, " 3"]
    sd: Float[np.ndarray, " 3"]
    kl: float
    full_rank_kl: float


OPTIMUM = Optimum(
    np.array([-0.6192, 0.5501, -2.1164]), np.array([0.07318, 0.02648, 0.4672]), 0.1350, 0.0983
)
