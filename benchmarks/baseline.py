"""The algorithm of Margossian and Blei (2024) in eager PyTorch: what the race is run against.

One process trains one q(theta) prod_n q(z_n) and writes how q moved and when:

    python benchmarks/baseline.py --model linear --method avi --degree 1 --lr 1e-2 --seed 0 \
        --data data.npz --out run.npz --iterations 5000 --seconds 300

The algorithm: Adam with a constant learning rate on the reparameterization gradient of the ELBO,
all rows in every iteration, 100 fresh draws of theta and of every z_n. Three choices to know:

* The entropy of q is in closed form. The paper samples log q at the same draws; along
  z = m + s e its gradient is the same for every draw (-1/2 e^2 - log s has only log s to
  differentiate), so the iterates agree in law, and this form is the cheaper one.
* Every constant of the density is kept (``--as paper``). ``--as code`` trains on the loss of the
  published notebooks, which drops the normalizing constants, and in the nonlinear model also the
  prior of theta and log sd(z_n); it serves to compare loss values only.
* Starting points are those of the notebooks: standard normal for theta's mean and log sd and for
  shared coefficients, uniform(0, 1) for the per-row table, PyTorch's default for networks.

The clock stands still while a snapshot is taken. Arithmetic is in float32.

References:
    Margossian and Blei (2024), "Amortized Variational Inference: When and Why?", section 5.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

TAU = 1.155
SIGMA = 2.43
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
MAX_SNAPSHOTS = 150
PER_DECADE = 12

LogJoint = Callable[[Tensor, Tensor, Tensor], Tensor]


def linear_log_joint(x: Tensor, theta: Tensor, z: Tensor) -> Tensor:
    """Log density of z_n ~ N(0, 1), x_n ~ N(theta + tau z_n, sigma^2), flat theta.

    Args:
        x: Data of shape (n,).
        theta: Draws of shape (s, 1).
        z: Draws of shape (s, n).

    Returns:
        Nats, total over rows, of shape (s,).
    """
    residual = (x - theta - TAU * z) / SIGMA
    constant = x.shape[0] * (2.0 * HALF_LOG_2PI + math.log(SIGMA))
    return -0.5 * (residual.square() + z.square()).sum(1) - constant


def nonlinear_log_joint(x: Tensor, theta: Tensor, z: Tensor) -> Tensor:
    """Log density of theta, z_n ~ N(0, 1), x_n ~ N(theta + z_n + z_n sin z_n, exp(cos z_n)^2).

    Args:
        x: Data of shape (n,).
        theta: Draws of shape (s, 1).
        z: Draws of shape (s, n).

    Returns:
        Nats, total over rows, of shape (s,).
    """
    log_sd = z.cos()
    residual = (x - theta - z - z * z.sin()) * (-log_sd).exp()
    local = (-0.5 * (residual.square() + z.square()) - log_sd).sum(1)
    constant = (2 * x.shape[0] + 1) * HALF_LOG_2PI
    return local - 0.5 * theta.square().squeeze(1) - constant


def linear_log_joint_of_code(x: Tensor, theta: Tensor, z: Tensor) -> Tensor:
    """`linear_log_joint` up to a constant: the notebook's."""
    residual = (x - theta - TAU * z) / SIGMA
    return -0.5 * (residual.square() + z.square()).sum(1)


def nonlinear_log_joint_of_code(x: Tensor, theta: Tensor, z: Tensor) -> Tensor:
    """`nonlinear_log_joint` as in the notebook: no prior of theta and no log sd(z_n)."""
    residual = (x - theta - z - z * z.sin()) * (-z.cos()).exp()
    return -0.5 * (residual.square() + z.square()).sum(1)


LOG_JOINTS: dict[tuple[str, str], LogJoint] = {
    ("linear", "paper"): linear_log_joint,
    ("linear", "code"): linear_log_joint_of_code,
    ("nonlinear", "paper"): nonlinear_log_joint,
    ("nonlinear", "code"): nonlinear_log_joint_of_code,
}


class Table(nn.Module):
    """F-VI: a free mean and log sd for each row."""

    def __init__(self, rows: int) -> None:
        """Start every entry uniformly in (0, 1)."""
        super().__init__()
        self.mean = nn.Parameter(torch.rand(rows))
        self.log_sd = nn.Parameter(torch.rand(rows))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log sds of shape (n,)."""
        return self.mean, self.log_sd


class Polynomial(nn.Module):
    """Mean a0 + a1 x + ... of the stated degree and one log sd; degree 0 is the constant factor."""

    def __init__(self, degree: int) -> None:
        """Start every coefficient and the log sd as standard normals."""
        super().__init__()
        self.coefficients = nn.ParameterList([torch.randn(1) for _ in range(degree + 1)])
        self.log_sd = nn.Parameter(torch.randn(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means of shape (n,) or (1,) and the log sd of shape (1,)."""
        *lower, mean = self.coefficients
        for coefficient in reversed(lower):
            mean = coefficient + x * mean
        return mean, self.log_sd


def perceptron(width: int) -> nn.Sequential:
    """Return a scalar function of a scalar with two hidden ReLU layers."""
    hidden = [nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, 1))


class Networks(nn.Module):
    """Two ReLU networks of x_n with two hidden layers each: the mean, and the log sd."""

    def __init__(self, width: int) -> None:
        """Start both networks as PyTorch does."""
        super().__init__()
        self.mean = perceptron(width)
        self.log_sd = perceptron(width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log sds of shape (n,)."""
        column = x[:, None]
        return self.mean(column).squeeze(1), self.log_sd(column).squeeze(1)


class Guide(nn.Module):
    """q(theta) prod_n q(z_n): Gaussian factors, the local ones from an inference function."""

    def __init__(self, inference: nn.Module) -> None:
        """Start theta's mean and log sd as standard normals."""
        super().__init__()
        self.theta_mean = nn.Parameter(torch.randn(1))
        self.theta_log_sd = nn.Parameter(torch.randn(1))
        self.inference = inference

    def negative_elbo(self, x: Tensor, log_joint: LogJoint, draws: int, constant: float) -> Tensor:
        """Estimate -ELBO = -E_q[log p(theta, z, x)] - entropy(q), in nats, total.

        Args:
            x: Data of shape (n,).
            log_joint: The model.
            draws: Number of draws of theta and of every z_n.
            constant: Entropy of one Gaussian factor of unit scale.

        Returns:
            A scalar whose gradient is the reparameterization gradient.
        """
        rows = x.shape[0]
        mean, log_sd = self.inference(x)
        theta = self.theta_mean + self.theta_log_sd.exp() * torch.randn(draws, 1)
        z = mean + log_sd.exp() * torch.randn(draws, rows)
        entropy = self.theta_log_sd.sum() + log_sd.expand(rows).sum() + (rows + 1) * constant
        return -(log_joint(x, theta, z).mean() + entropy)


def seconds_since_start(started: float | None) -> float:
    """Return the age of this process in seconds.

    Args:
        started: UNIX time at which the caller launched the process; None reads it from the
            kernel, at the resolution of its tick (10 ms).
    """
    if started is not None:
        return time.time() - started
    # Field 22, counted after the parenthesized command, which may itself contain spaces.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks


def snapshot_grid(iterations: int) -> set[int]:
    """Choose when to record q: 12 times per decade, and evenly with what is left of 150."""
    decades = math.log10(iterations)
    grid = {round(10 ** (k / PER_DECADE)) for k in range(int(PER_DECADE * decades) + 1)}
    spare = MAX_SNAPSHOTS - 2 - len(grid)  # two are kept for the start and for the end
    return grid | {round(at) for at in np.linspace(1, iterations, max(spare, 1))} | {iterations}


def train(
    guide: Guide, x: Tensor, log_joint: LogJoint, lead: float, options: argparse.Namespace
) -> tuple[dict[str, np.ndarray], str]:
    """Run Adam and record q along the way.

    Args:
        guide: Trained in place.
        x: Data of shape (n,).
        log_joint: The model.
        lead: Seconds between the start of the process and this call.
        options: The command line.

    Returns:
        The arrays of the output file (first axis: snapshots; ``loss`` is the noisy value before
        the last update) and why training ended.
    """
    optimizer = torch.optim.Adam(guide.parameters(), lr=options.lr)
    constant = HALF_LOG_2PI + 0.5 if options.setting == "paper" else 0.5
    grid = snapshot_grid(options.iterations)
    records: list[dict[str, np.ndarray | float]] = []
    ended, iteration, loss_value = "", 0, math.nan
    origin = time.perf_counter()  # moved on by what snapshots take

    while True:
        warm = time.perf_counter() - origin
        if iteration > 0 and not math.isfinite(loss_value):
            ended = "loss not finite"
        elif iteration == options.iterations:
            ended = "iterations"
        elif warm >= options.seconds:
            ended = "seconds"
        if ended or iteration == 0 or iteration in grid:
            times = {"seconds_cold": warm + lead, "seconds_warm": warm, "iteration": iteration}
            records.append({**times, "loss": loss_value, **moments(guide, x)})
            origin = time.perf_counter() - warm
        if ended:
            break
        optimizer.zero_grad()
        loss = guide.negative_elbo(x, log_joint, options.draws, constant)
        loss.backward()
        optimizer.step()
        loss_value = loss.item()
        iteration += 1

    return {name: np.stack([record[name] for record in records]) for name in records[0]}, ended


@torch.no_grad()
def moments(guide: Guide, x: Tensor) -> dict[str, np.ndarray]:
    """Copy q's means and standard deviations: of theta, shape (), and of z, shape (n,)."""
    mean, log_sd = guide.inference(x)
    return {
        "theta_mean": guide.theta_mean.numpy().copy().squeeze(),
        "theta_sd": guide.theta_log_sd.exp().numpy().copy().squeeze(),
        "z_mean": mean.expand(x.shape[0]).numpy().copy(),
        "z_sd": log_sd.exp().expand(x.shape[0]).numpy().copy(),
    }


def build_inference(options: argparse.Namespace, rows: int) -> nn.Module:
    """Return the inference function named on the command line."""
    if options.method == "fvi":
        return Table(rows)
    if options.method == "constant":
        return Polynomial(0)
    if options.degree is not None:
        return Polynomial(options.degree)
    return Networks(options.width)


def parse_command_line() -> argparse.Namespace:
    """Read and check the options."""
    parser = argparse.ArgumentParser(description="Train the baseline of the race.")
    parser.add_argument("--model", choices=("linear", "nonlinear"), required=True)
    parser.add_argument("--method", choices=("fvi", "constant", "avi"), required=True)
    parser.add_argument("--degree", type=int, choices=(1, 2), help="A-VI by a polynomial")
    parser.add_argument("--width", type=int, help="A-VI by networks of this width")
    parser.add_argument("--as", dest="setting", choices=("paper", "code"), default="paper")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate of Adam")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="NPZ file holding x")
    parser.add_argument("--out", type=Path, required=True, help="NPZ file to write")
    parser.add_argument("--iterations", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=math.inf, help="limit on training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--started", type=float, help="UNIX time of the launch")
    options = parser.parse_args()
    if options.method == "avi" and (options.degree is None) == (options.width is None):
        parser.error("--method avi needs one of --degree and --width")
    if options.method != "avi" and (options.degree, options.width) != (None, None):
        parser.error(f"--method {options.method} takes neither --degree nor --width")
    for name in ("width", "draws", "iterations", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}; at least one is needed")
    return options


def main() -> None:
    """Train once and write the run."""
    options = parse_command_line()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    with np.load(options.data) as file:
        x = torch.as_tensor(file["x"], dtype=torch.float32)
    guide = Guide(build_inference(options, x.shape[0]))
    log_joint = LOG_JOINTS[options.model, options.setting]
    lead = seconds_since_start(options.started)
    arrays, ended = train(guide, x, log_joint, lead, options)

    settings = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
    }
    settings["as"] = settings.pop("setting")
    if not math.isfinite(options.seconds):
        settings["seconds"] = None  # JSON has no infinity
    settings |= {
        "rows": x.shape[0],
        "ended": ended,
        "parameters": sum(parameter.numel() for parameter in guide.parameters()),
        "ms_per_iteration": 1e3 * arrays["seconds_warm"][-1] / max(arrays["iteration"][-1], 1),
        "torch": torch.__version__,
    }
    np.savez(options.out, settings=np.asarray(json.dumps(settings)), **arrays)
    print(json.dumps({name: settings[name] for name in ("ended", "ms_per_iteration")}))


if __name__ == "__main__":
    main()
