"""Any Gaussian target: the best factorized Gaussian and what it loses."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def mean_field(mean: Vector, precision: Matrix) -> tuple[Vector, Vector]:
    """Means and variances of the factorized Gaussian closest in KL(q‖p): μ and 1/Λᵢᵢ."""
    return mean, 1.0 / np.diag(precision)


def mean_field_gap(precision: Matrix) -> float:
    """KL(q‖p) of that factorized Gaussian: −½ (log det Λ − Σ log Λᵢᵢ)."""
    sign, log_det = np.linalg.slogdet(precision)
    assert sign > 0
    return float(-0.5 * (log_det - np.sum(np.log(np.diag(precision)))))


def kl_of_diagonal(means: Vector, variances: Vector, mean: Vector, precision: Matrix) -> float:
    """KL of any diagonal Gaussian from the Gaussian N(mean, precision⁻¹)."""
    _, log_det = np.linalg.slogdet(precision)
    shift = means - mean
    expected = np.sum(np.diag(precision) * variances) + shift @ precision @ shift
    return float(0.5 * (expected - len(means) - np.sum(np.log(variances)) - log_det))


def shortfall(mean: Vector, precision: Matrix, basis: Matrix) -> float:
    """What is lost by means that must lie in the span of the columns of `basis`.

    ½ min_β (μ − Bβ)ᵀΛ(μ − Bβ): the KL is quadratic in the means, apart from the variances.
    """
    weighted = basis.T @ precision
    residual = mean - basis @ np.linalg.solve(weighted @ basis, weighted @ mean)
    return float(0.5 * residual @ precision @ residual)
