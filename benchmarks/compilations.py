"""What JAX traced, lowered and compiled while something ran: names, counts and seconds."""

import collections
import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax.monitoring

_STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One thing that ran.

    Attributes:
        result: what it returned.
        seconds: wall time.
        spent: seconds of it in tracing, lowering and compiling, in this order; a function that is
            traced inside another counts once.
        compiled: how often each function was compiled, by its name.
        costly: seconds of compilation by function.
    """

    result: Any
    seconds: float
    spent: dict[str, float]
    compiled: dict[str, int]
    costly: dict[str, float]

    @property
    def count(self) -> int:
        """Number of compilations."""
        return sum(self.compiled.values())

    def record(self) -> dict[str, Any]:
        """All but the result, for JSON."""
        kept = {name: getattr(self, name) for name in ("seconds", "spent", "compiled", "costly")}
        return kept | {"count": self.count}


class Watch:
    """Listens to JAX from its construction on; there is no way to stop listening."""

    def __init__(self) -> None:
        self._events: list[tuple[str, float, float, str]] = []
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def _hear(self, event: str, duration: float, **given: Any) -> None:
        stage = _STAGES.get(event)
        if stage is not None:
            end = time.perf_counter()
            name = str(given.get("fun_name")).removeprefix("jit(").removesuffix(")")
            self._events.append((stage, end - duration, end, name))

    def run(self, function: Callable[[], Any]) -> Run:
        """Run it, with what JAX did meanwhile."""
        self._events.clear()
        started = time.perf_counter()
        result = jax.block_until_ready(function())
        seconds = time.perf_counter() - started
        compiled: collections.Counter[str] = collections.Counter()
        costly: collections.Counter[str] = collections.Counter()
        for stage, begin, end, name in self._events:
            if stage == "compile":
                compiled[name] += 1
                costly[name] += end - begin
        spent = {
            stage: covered((b, e) for s, b, e, _ in self._events if s == stage)
            for stage in _STAGES.values()
        }
        return Run(result, seconds, spent, dict(compiled), dict(costly))


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals: what is nested in something else counts once."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total
