"""What is made of the losses of a block of steps."""

import numpy as np
from jaxtyping import Float


def noise_of(losses: Float[np.ndarray, " steps"], blocks: int) -> float:
    """Standard error of the average loss of so many blocks like this one.

    Far from the optimum losses are noisy, and the best of many blocks is the luckiest of them.
    """
    finite = losses[np.isfinite(losses)]
    return float(np.std(finite) / np.sqrt(len(finite) * blocks)) if len(finite) else 0.0


def mean_of_finite(losses: Float[np.ndarray, "steps restarts"]) -> Float[np.ndarray, " restarts"]:
    """Average loss of the steps that were not rolled back; infinite if all were."""
    finite = np.isfinite(losses)
    total = np.where(finite, losses, 0.0).sum(axis=0)
    count = finite.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.inf)


def leader_of(trace: Float[np.ndarray, "blocks restarts"]) -> int:
    """The restart with the lowest recent loss."""
    recent = trace[-max(len(trace) // 4, 1) :]
    return int(np.argmin(recent.mean(axis=0))) if len(recent) else 0
