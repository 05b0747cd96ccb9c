"""Simulated data for the race: the linear and the nonlinear latent variable model.

Each contestant of the race reads the same file, written once by this script:

    python benchmarks/data.py --model linear --n 10000 --seed 0 --out data.npz

The file holds ``x`` (what is observed), the ``theta`` and ``z`` that made it, and ``settings``
(JSON). Only NumPy is needed, so that both sides of the race can use it.

References:
    Margossian and Blei (2024), "Amortized Variational Inference: When and Why?", section 5.
"""

import argparse
import json
from pathlib import Path

import numpy as np

TAU = 1.155
SIGMA = 2.43


def simulate_linear(n: int, seed: int) -> dict[str, np.ndarray]:
    """Draw x_n = theta + tau z_n + sigma e_n with theta = 0, so that x_n ~ N(0, tau^2 + sigma^2).

    Args:
        n: Number of rows, at least one.
        seed: Seed of the generator.

    Returns:
        ``x`` and ``z`` of shape (n,), ``theta`` of shape ().
    """
    generator = np.random.default_rng(seed)
    z = generator.standard_normal(n)
    x = TAU * z + SIGMA * generator.standard_normal(n)
    return {"x": x, "theta": np.zeros(()), "z": z}


def simulate_nonlinear(n: int, seed: int, latent_scale: float) -> dict[str, np.ndarray]:
    """Draw x_n ~ N(theta + z_n + z_n sin z_n, exp(cos z_n)^2) with theta ~ N(0, 1).

    Args:
        n: Number of rows, at least one.
        seed: Seed of the generator.
        latent_scale: Standard deviation of the simulated z_n: 1 as the paper states the model,
            5 as its notebook draws them (the fitted prior is N(0, 1) in both).

    Returns:
        ``x`` and ``z`` of shape (n,), ``theta`` of shape ().
    """
    generator = np.random.default_rng(seed)
    theta = np.asarray(generator.standard_normal())
    z = latent_scale * generator.standard_normal(n)
    x = theta + z + z * np.sin(z) + np.exp(np.cos(z)) * generator.standard_normal(n)
    return {"x": x, "theta": theta, "z": z}


def simulate(model: str, setting: str, n: int, seed: int) -> dict[str, np.ndarray]:
    """Draw one data set.

    Args:
        model: ``linear`` or ``nonlinear``.
        setting: ``paper`` or ``code``; the linear data are the same in both.
        n: Number of rows.
        seed: Seed of the generator.

    Returns:
        ``x``, ``theta`` and ``z``, in float64.
    """
    if model == "linear":
        return simulate_linear(n, seed)
    return simulate_nonlinear(n, seed, latent_scale=5.0 if setting == "code" else 1.0)


def main() -> None:
    """Write one data set to an NPZ file."""
    parser = argparse.ArgumentParser(description="Simulate a data set of the race.")
    parser.add_argument("--model", choices=("linear", "nonlinear"), required=True)
    parser.add_argument("--as", dest="setting", choices=("paper", "code"), default="paper")
    parser.add_argument("--n", type=int, default=10_000, help="rows")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="NPZ file to write")
    options = parser.parse_args()
    if options.n < 1:
        parser.error(f"--n is {options.n}; a data set needs at least one row")
    settings = {
        "model": options.model,
        "as": options.setting,
        "n": options.n,
        "seed": options.seed,
        "tau": TAU,
        "sigma": SIGMA,
    }
    arrays = simulate(options.model, options.setting, options.n, options.seed)
    np.savez(options.out, settings=np.asarray(json.dumps(settings)), **arrays)


if __name__ == "__main__":
    main()
