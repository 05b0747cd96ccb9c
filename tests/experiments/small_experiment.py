"""An experiment that takes no time: its losses are drawn from the key."""

import dataclasses
import math

import jax

from amortis import Monitor, Progress
from amortis.experiments.comparison import Setting
from amortis.experiments.runs import Arm, Campaign, RunPath, RunResult
from amortis.experiments.settings import Method, Settings, parse_settings
from tests.experiments.test_settings import TINY

SETTINGS = parse_settings(TINY, "tiny")


@dataclasses.dataclass
class SmallTask:
    """Notes what it ran; raises `KeyboardInterrupt` at the call of that number."""

    digest: str = "data"
    interrupt_at: int | None = None
    ran: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    remark: str = "A remark."

    @property
    def printed(self) -> bool:
        return True

    def rows(self, method: Method) -> int:
        return 20

    def best_loss(self, method: Method) -> float | None:
        return 7.0 if method.function == "table" else None

    def run(self, method: Method, arm: Arm, *, key, monitor: Monitor | None) -> RunResult:
        if len(self.ran) == self.interrupt_at:
            raise KeyboardInterrupt
        self.ran.append((method.name, arm.name))
        if monitor is not None:
            monitor(Progress(-8.0, None, 2, 20, 1.0), lambda: None)
        noise = float(jax.random.normal(jax.random.fold_in(key, len(arm.name))))
        loss = 7.5 + 0.01 * noise
        failed = method.name == "A-VI" and arm.name == "Adam 0.001"
        blocks = range(1, 11)
        return RunResult(
            status="DIVERGED" if failed else "CONVERGED",
            loss=math.nan if failed else loss,
            seconds=float(len(self.ran)),
            path=RunPath(
                iterations=tuple(10 * j for j in blocks),
                seconds=tuple(0.1 * j + len(self.ran) for j in blocks),
                losses=tuple(loss + (noise**2 + 1.0) * 20.0 / 3.0**j for j in blocks),
            ),
            values={"last_mean": noise / 3.0},
        )


def campaign(**choices) -> Campaign:
    return Campaign(SETTINGS, SETTINGS.plans[Setting.CODE], **choices)


def settings(name: str) -> Settings:
    return SETTINGS
