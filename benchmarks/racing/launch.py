"""One run: a process of its own on one core, then its snapshots scored, then a small result."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from racing.field import Contestant
from racing.tasks import Task

HERE = Path(__file__).parents[1]
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
GRACE = 240.0
"""Seconds beyond two limits after which a process is ended: imports, compilation, adaptation."""

JAX_CACHE = "JAX_COMPILATION_CACHE_DIR"

_AROUND = {"field", "launch", "reference", "summary", "table"}
"""What orders runs and reads their results: no run depends on them."""


def one_run(
    task: Task,
    who: Contestant,
    rate: float | None,
    seed: int,
    limit: float,
    cpu: bool,
    out: Path,
    core: int,
) -> dict[str, Any]:
    """Run and score, or read the result of the same run if it is there.

    Args:
        task: the task.
        who: the contestant.
        rate: learning rate, where it has one.
        seed: random seed.
        limit: seconds of training.
        cpu: whether the clock is the process's own time rather than wall time.
        out: folder of all results; the data are in its `data`.
        core: the one that the process may use.

    Returns:
        The result, with `error` if the contestant failed.
    """
    name = f"{task.name}-{who.name}-{rate}-{seed}".replace(" ", "_")
    result_path = out / f"{name}.json"
    python = str(PEERS) if who.peers else sys.executable
    order = {
        "task": task.name,
        "who": who.name,
        "module": who.module_for(task.name),
        "options": {**who.options, "rate": rate, "seed": seed},
        "limit": limit,
        "cpu": cpu,
        "data": str(out / "data"),
        "source": _source(who, who.module_for(task.name)),
    }
    if result_path.exists():
        result = json.loads(result_path.read_text())
        if all(result.get(key) == value for key, value in order.items()):
            return result
    if not Path(python).exists():
        return {**order, "error": "not installed: make peers-env"}
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ended = _contest(python, folder, order, limit, core)
    subprocess.run(
        [sys.executable, "-m", "racing.score", str(folder), str(result_path), str(core)],
        check=True,
        cwd=HERE,
        env=_environment(out),
    )
    result = json.loads(result_path.read_text())
    if ended is not None and "error" not in result:
        result["error"] = ended
        result_path.write_text(json.dumps(result))
    shutil.rmtree(folder)
    return result


def _source(who: Contestant, module: str) -> str:
    """A digest of the code that runs: results of other code are not taken up again."""
    ours = sorted((HERE.parent / "src" / "amortis").rglob("*.py")) if who.ours else []
    racing = HERE / "racing"
    shared = [file for file in sorted(racing.glob("*.py")) if file.stem not in _AROUND]
    densities = sorted((racing / "contestants").glob("*_density.py"))
    files = [*ours, *shared, *densities, racing / "contestants" / f"{module}.py"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return digest.hexdigest()[:16]


def _contest(
    python: str, folder: Path, order: dict[str, Any], limit: float, core: int
) -> str | None:
    """Run the process; why it ended, where that was not of its own accord."""
    with (folder / "log.txt").open("w") as log:
        (folder / "order.json").write_text(json.dumps({**order, "launched": time.time()}))
        try:
            done = subprocess.run(
                [python, "-W", "ignore", "-m", "racing.entry", str(folder), str(core)],
                cwd=HERE,
                stdout=log,
                stderr=log,
                env=_environment(folder.parent),
                timeout=2 * limit + GRACE,
            )
        except subprocess.TimeoutExpired:
            return f"ended after {2 * limit + GRACE:g} s"
    return None if done.returncode == 0 else f"exit status {done.returncode}"


def _environment(out: Path) -> dict[str, str]:
    """One thread each; PyTensor's cache of compiled code is kept, JAX's is not."""
    one = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    source = str(HERE.parent / "src")
    path = os.pathsep.join([str(HERE), source, os.environ.get("PYTHONPATH", "")])
    inherited = {name: value for name, value in os.environ.items() if name != JAX_CACHE}
    return {
        **inherited,
        **one,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": path,
        "PYTENSOR_FLAGS": f"base_compiledir={out / 'pytensor'}",
    }


def versions() -> dict[str, str]:
    """Versions of everything that runs, of the peers' environment too."""
    code = (
        "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in "
        "('pymc', 'pytensor', 'pymc-extras', 'blackjax')}))"
    )
    found = {
        name: importlib.metadata.version(name)
        for name in ("jax", "numpyro", "equinox", "optax", "torch", "numpy")
    }
    if PEERS.exists():
        done = subprocess.run([PEERS, "-c", code], capture_output=True, text=True, check=True)
        found |= json.loads(done.stdout)
    return {"python": sys.version.split()[0]} | found
