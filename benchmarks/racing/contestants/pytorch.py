"""The algorithm of Margossian and Blei (2024) in eager PyTorch: Adam, 100 fresh draws.

The entropy of q is in closed form. The paper samples log q at the same draws; along z = m + s e
its gradient is the same for every draw, so the iterates agree in law, and this form is the cheaper
one. Starting points are those of the notebooks: standard normal for means and log sds of globals
and for shared coefficients, uniform(0, 1) for the table of rows, PyTorch's own for networks.
With scales and slopes among the globals that start has ELBOs of -1e15; models that are not the
paper's start with means near 0 and sds of 0.1, as NumPyro does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from racing.clock import Clock, train
from racing.tasks import Task
from racing.torch_models import LOG_JOINTS

DRAWS = 100
WIDTHS = {"nonlinear": 16, "saw": 4, "irt": 16}
"""Of the networks; linear and PPCA take an affine function, whose mean is ideal."""

# user code


class Table(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.mean, self.log_sd = nn.Parameter(torch.rand(size)), nn.Parameter(torch.rand(size))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean, self.log_sd


class Affine(nn.Module):
    def __init__(self, columns: int, codes: int) -> None:
        super().__init__()
        self.slope, self.start = (
            nn.Parameter(torch.randn(columns, codes) / columns**0.5),
            nn.Parameter(torch.randn(codes)),
        )
        self.log_sd = nn.Parameter(torch.randn(codes))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        mean = inputs @ self.slope + self.start
        return mean.flatten(), self.log_sd.expand_as(mean).flatten()


class Networks(nn.Module):
    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.mean, self.log_sd = perceptron(columns, width), perceptron(columns, width)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(inputs).flatten(), self.log_sd(inputs).flatten()


def perceptron(columns: int, width: int) -> nn.Sequential:
    hidden = [nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, 1))


class Guide(nn.Module):
    def __init__(self, globals_: int, function: nn.Module) -> None:
        super().__init__()
        start = torch.randn(2, globals_)
        if globals_ > 1:
            start = torch.stack([0.1 * start[0], torch.full((globals_,), -2.3)])
        self.mean, self.log_sd = nn.Parameter(start[0]), nn.Parameter(start[1])
        self.function = function

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_sd = self.function(inputs)
        return torch.cat([self.mean, mean]), torch.cat([self.log_sd, log_sd])


def negative_elbo(guide: Guide, inputs: Tensor, log_joint: Callable[[Tensor], Tensor]) -> Tensor:
    mean, log_sd = guide(inputs)
    draws = mean + log_sd.exp() * torch.randn(DRAWS, len(mean))
    return -log_joint(draws).mean() - log_sd.sum()


def step(guide: Guide, optimizer: torch.optim.Optimizer, inputs: Tensor, log_joint: Any) -> None:
    optimizer.zero_grad()
    negative_elbo(guide, inputs, log_joint).backward()
    optimizer.step()


# end of user code


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """Train until the limit."""
    torch.set_num_threads(1)
    torch.manual_seed(options["seed"])
    given = {name: _tensor(value) for name, value in data.items()}

    def log_joint(points: Tensor) -> Tensor:
        return LOG_JOINTS[task.name](task.split(points), **given)

    inputs = _inputs(task, given)
    guide = Guide(task.first_local, _function(task, inputs, options["function"]))
    optimizer = torch.optim.Adam(guide.parameters(), lr=options["rate"])

    def advance(steps: int) -> None:
        for _ in range(steps):
            step(guide, optimizer, inputs, log_joint)

    @torch.no_grad()
    def q() -> dict[str, Any]:
        mean, log_sd = guide(inputs)
        return {"mean": mean.numpy(), "sd": log_sd.exp().numpy()}

    clock.start()
    train(clock, advance, q)
    clock.finish()
    return lambda points: log_joint(_tensor(points)).detach().numpy()


def _tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return torch.as_tensor(value, dtype=torch.float32 if value.dtype.kind == "f" else torch.long)


def _inputs(task: Task, data: dict[str, Any]) -> Tensor:
    """What the function of the row reads, shape (rows, columns)."""
    if task.name == "saw":
        return torch.stack([torch.cat([torch.zeros(1), data["x"][:-1]]), data["x"]], 1)
    rows = data["y"].float() if task.name == "irt" else data.get("x", torch.zeros(task.units))
    return rows.reshape(task.units, -1)


def _function(task: Task, inputs: Tensor, kind: str) -> nn.Module:
    if kind == "table":
        return Table(task.latents - task.first_local)
    if task.name in WIDTHS:
        return Networks(inputs.shape[1], WIDTHS[task.name])
    return Affine(inputs.shape[1], (task.latents - task.first_local) // task.units)
