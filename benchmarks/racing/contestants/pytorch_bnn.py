"""The paper's algorithm for its Bayesian neural network in eager PyTorch: Adam, minibatches.

A step takes 1000 rows and one draw of all weights and of these rows' codes; the likelihood, prior
and entropy of the rows are weighted N/1000. Networks and starts are the notebook's. It also draws
the codes of all rows at every step, which this leaves out, to its advantage; see `bnn_torch.py`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from racing.clock import Clock, train
from racing.tasks import Task
from racing.torch_models import bnn

# user code

BATCH = 1000


class Table(nn.Module):
    def __init__(self, rows: int, codes: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(rows, codes))
        self.log_sd = nn.Parameter(torch.randn(rows, codes) - 1.0)

    def forward(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean[rows], self.log_sd[rows]


class Encoder(nn.Module):
    def __init__(self, columns: int, codes: int, width: int = 64) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(columns, width), nn.Linear(width, width)
        self.mean, self.log_sd = nn.Linear(width, codes), nn.Linear(width, codes)

    def forward(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        hidden = leaky_relu(self.second(leaky_relu(self.first(x[rows]), 0.2)), 0.2)
        return self.mean(hidden), self.log_sd(hidden)


class Guide(nn.Module):
    def __init__(self, shapes: dict[str, tuple[int, ...]], function: nn.Module) -> None:
        super().__init__()
        self.shapes, self.sizes = shapes, [int(np.prod(shape)) for shape in shapes.values()]
        self.mean = nn.Parameter(torch.zeros(sum(self.sizes)))
        self.log_sd = nn.Parameter(torch.full((sum(self.sizes),), -2.0))
        self.function = function

    def sites(self, theta: Tensor) -> dict[str, Tensor]:
        parts = theta.split(self.sizes)
        return {
            name: part.reshape(1, *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


def negative_elbo(guide: Guide, x: Tensor, rows: Tensor) -> Tensor:
    theta = guide.mean + guide.log_sd.exp() * torch.randn_like(guide.mean)
    mean, log_sd = guide.function(x, rows)
    z = mean + log_sd.exp() * torch.randn_like(mean)
    weight = len(x) / len(rows)
    log_joint = bnn(guide.sites(theta) | {"z": z[None]}, x[rows], weight)
    return -log_joint.sum() - guide.log_sd.sum() - weight * log_sd.sum()


def batches(rows: int) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(rows).split(BATCH)


def step(guide: Guide, optimizer: torch.optim.Optimizer, x: Tensor, rows: Tensor) -> None:
    optimizer.zero_grad()
    negative_elbo(guide, x, rows).backward()
    optimizer.step()


# end of user code


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """Train until the limit."""
    torch.set_num_threads(1)
    torch.manual_seed(options["seed"])
    x = torch.as_tensor(data["x"], dtype=torch.float32)
    codes = task.local[1]
    table = options["function"] == "table"
    function = Table(len(x), codes) if table else Encoder(x.shape[1], codes)
    guide = Guide(task.globals_, function)
    optimizer = torch.optim.Adam(guide.parameters(), lr=options["rate"])
    order = batches(len(x))

    def advance(steps: int) -> None:
        for _ in range(steps):
            step(guide, optimizer, x, next(order))

    @torch.no_grad()
    def q() -> dict[str, Any]:
        mean, log_sd = function(x, torch.arange(len(x)))
        means = torch.cat([guide.mean, mean.flatten()])
        sds = torch.cat([guide.log_sd, log_sd.flatten()]).exp()
        return {"mean": means.numpy(), "sd": sds.numpy()}

    clock.start()
    train(clock, advance, q)
    clock.finish()

    @torch.no_grad()
    def log_joint(points: np.ndarray) -> np.ndarray:
        return bnn(task.split(torch.as_tensor(points, dtype=torch.float32)), x).numpy()

    return log_joint
