"""The paper's algorithm on the Bayesian neural network in eager PyTorch: what a step costs there.

    python benchmarks/bnn_torch.py --method fvi --rows 2000 --iterations 200 --threads 2

One step: 1000 rows, one draw of all 283 920 weights and of the rows' codes, the ELBO with the
likelihood weighted by N/1000, its gradient, Adam at 1e-3. The notebook also draws the codes
of all N rows and runs its encoder on all of them at every step, though only 1000 enter the
likelihood (`--all-rows`); without that flag the step is the cheaper one that takes the prior and
the entropy of the same 1000 rows, weighted alike, as ours does. The last line is JSON.

References:
    Margossian and Blei (2024), "Amortized Variational Inference: When and Why?", section 5.3.
"""

import argparse
import json
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

LATENTS, WIDTH, PIXELS = 64, 256, 784
SLOPE = 0.2
SHAPES = ((WIDTH, LATENTS), (WIDTH, WIDTH), (PIXELS, WIDTH), (WIDTH,), (WIDTH,), (PIXELS,))
SIZES = [int(np.prod(shape)) for shape in SHAPES]


class Table(nn.Module):
    """F-VI: a free mean and log sd for each row."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(rows, LATENTS))
        self.log_sd = nn.Parameter(torch.randn(rows, LATENTS) - 1.0)

    def forward(self, x: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        return (self.mean, self.log_sd) if rows is None else (self.mean[rows], self.log_sd[rows])


class Encoder(nn.Module):
    """A-VI: two hidden layers of LeakyReLU units, as in the notebook."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(PIXELS, width), nn.Linear(width, width)
        self.mean, self.log_sd = nn.Linear(width, LATENTS), nn.Linear(width, LATENTS)

    def forward(self, x: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = leaky_relu(self.first(x if rows is None else x[rows]), SLOPE)
        hidden = leaky_relu(self.second(hidden), SLOPE)
        return self.mean(hidden), self.log_sd(hidden)


def decoded(theta: Tensor, z: Tensor) -> Tensor:
    """Images, shape (rows, 784), of weights and codes."""
    parts = [p.reshape(s) for p, s in zip(theta.split(SIZES), SHAPES, strict=True)]
    hidden = leaky_relu(z @ parts[0].T + parts[3], SLOPE)
    hidden = leaky_relu(hidden @ parts[1].T + parts[4], SLOPE)
    return hidden @ parts[2].T + parts[5]


def negative_elbo(
    x: Tensor, rows: Tensor, weights: nn.ParameterList, function: nn.Module, all_rows: bool
) -> Tensor:
    """Minus the ELBO on one draw in the notebook's convention, nats total, without constants."""
    theta_mean, theta_log_sd = weights
    theta = theta_mean + theta_log_sd.exp() * torch.randn_like(theta_mean)
    mean, log_sd = function(x, None if all_rows else rows)
    z = mean + log_sd.exp() * torch.randn_like(mean)
    weight = len(x) / len(rows)
    residuals = x[rows] - decoded(theta, z[rows] if all_rows else z)
    local = (0.5 * z.square() - log_sd).sum() * (1.0 if all_rows else weight)
    return weight * residuals.square().sum() + theta.square().sum() - theta_log_sd.sum() + local


def measure(options: argparse.Namespace) -> dict[str, float | int | str]:
    """Time steps one by one; the first few warm up."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    x = torch.as_tensor(np.random.default_rng(0).random((options.rows, PIXELS), np.float32))
    weights = nn.ParameterList([torch.zeros(sum(SIZES)), torch.full((sum(SIZES),), -2.0)])
    function = Table(options.rows) if options.method == "fvi" else Encoder(options.width)
    optimizer = torch.optim.Adam([*weights.parameters(), *function.parameters()], lr=1e-3)
    per_epoch = options.rows // options.batch
    seconds, cpu = [], time.process_time()
    for iteration in range(options.iterations):
        started = time.perf_counter()
        if iteration % per_epoch == 0:
            order = torch.randperm(options.rows)
        first = iteration % per_epoch * options.batch
        rows = order[first : first + options.batch]
        optimizer.zero_grad()
        loss = negative_elbo(x, rows, weights, function, options.all_rows)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    cpu = time.process_time() - cpu
    return {
        "library": f"torch {torch.__version__}",
        "method": options.method,
        "rows": options.rows,
        "threads": options.threads,
        "all_rows": options.all_rows,
        "ms_per_iteration": 1e3 * float(np.median(seconds[10:])),
        "cpu_ms_per_iteration": 1e3 * cpu / options.iterations,
    }


def main() -> None:
    """Measure once and print one line of JSON."""
    parser = argparse.ArgumentParser(description="Time the paper's step in PyTorch.")
    parser.add_argument("--method", choices=("fvi", "avi"), required=True)
    parser.add_argument("--width", type=int, default=64, help="hidden units of the encoder")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-rows", action="store_true", help="draw all codes, as the notebook")
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
