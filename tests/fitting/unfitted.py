"""A fit that nothing was optimised for: what holds for every q can be asked of it at once."""

import jax
import numpy as np

from amortis import DiagonalNormal, Fit, History, LatentModel, Status
from amortis.guide import Guide


def unfitted(model: LatentModel, inference) -> Fit:
    guide = Guide.for_model(model, inference, DiagonalNormal(), DiagonalNormal())
    history = History(np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0, int))
    start = guide.init(jax.random.key(0))
    # As far from the prior as a fit would be, and different from unit to unit.
    moved = jax.tree.map(lambda leaf: leaf + 0.3 * jax.numpy.sin(1.0 + leaf), start)
    return Fit(model, guide, moved, Status.CONVERGED, history)
