"""Whether ranks are symmetric about their middle: the test of bias in VSBC."""

import numpy as np
from jaxtyping import Int


def symmetry_p(ranks: Int[np.ndarray, " simulations"], draws: int) -> float:
    r"""The p-value of symmetric ranks, exact, by the distance between ranks and mirrored ranks.

    Kolmogorov's distance $\max_t |\hat F(t) - \hat F'(t)|$ between the ranks and the mirrored ranks
    $L - r$. The two samples are one and its mirror image, so the usual law of two samples does not
    hold. If the law is symmetric, the signs of $r - L/2$ are fair coins given the magnitudes. From
    the largest magnitude inwards the distance is then the largest deviation of a fair random walk,
    looked at once per magnitude, whose probability is computed step by step.

    Args:
        ranks: independent ranks in [0, draws].
        draws: number L of draws.

    Returns:
        The probability of a distance as large or larger.

    References:
        Butler, *A test for symmetry using the sample distribution function* (1969); Yao, Vehtari,
        Simpson & Gelman, *Yes, but Did It Work?* (2018), section 3.2, for symmetry as the test.
    """
    twice = 2 * ranks.astype(int) - draws
    magnitudes, sizes = np.unique(np.abs(twice[twice != 0]), return_counts=True)
    sums = np.asarray([np.sign(twice[np.abs(twice) == m]).sum() for m in magnitudes], int)
    if not len(sums):
        return 1.0
    distance = int(np.abs(np.cumsum(sums[::-1])).max())
    if distance == 0:
        return 1.0
    # Probability of each sum of signs, without ever having been as far out as the distance.
    from scipy.stats import binom  # it takes longer to import than all of amortis

    inside = 2 * distance - 1
    walk = np.zeros(inside)
    walk[distance - 1] = 1.0
    for size in sizes[::-1]:
        steps = np.zeros(2 * int(size) + 1)
        steps[::2] = binom.pmf(np.arange(size + 1), size, 0.5)
        walk = np.convolve(walk, steps)[int(size) : int(size) + inside]
    return float(np.clip(1.0 - walk.sum(), 0.0, 1.0))
