"""The house rules that a machine can check: imports, lengths, names, documentation."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "amortis"
FILES = sorted(SOURCE.rglob("*.py"))

LONGEST_FILE = 300
LONGEST_FUNCTION = 70  # "about 60"
NO_NOUN = {"utils", "util", "helpers", "helper", "misc", "common"}
HEAVY = {
    "arviz_base",
    "arviz_stats",
    "blackjax",
    "diffrax",
    "flowjax",
    "matplotlib",
    "pandas",
    "pyarrow",
    "sklearn",
    "torch",
    "xarray",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python(program: str) -> str:
    """Run a program in a fresh interpreter, where a warning is an error; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def parsed() -> Iterator[tuple[str, ast.Module]]:
    for path in FILES:
        yield str(path.relative_to(SOURCE)), ast.parse(path.read_text(encoding="utf8"))


def test_there_is_something_to_check() -> None:
    assert SOURCE / "__init__.py" in FILES


def test_imports_point_downwards_and_form_no_cycle() -> None:
    check = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_long() -> None:
    lengths = {str(p.relative_to(SOURCE)): len(p.read_text("utf8").splitlines()) for p in FILES}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_function_is_long() -> None:
    long = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, Function) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_every_file_and_folder_is_named_after_an_idea() -> None:
    names = [p.relative_to(SOURCE) for p in SOURCE.rglob("*")]
    assert [str(p) for p in names if NO_NOUN & {part.split(".")[0] for part in p.parts}] == []


def test_every_folder_says_what_it_is_for() -> None:
    folders = {p.parent for p in FILES}
    missing = [str(f.relative_to(SOURCE)) for f in folders if not (f / "__init__.py").exists()]
    assert missing == []
    assert [n for n, tree in parsed() if n.endswith("__init__.py") and not documented(tree)] == []


def test_every_public_function_and_class_is_documented() -> None:
    undocumented = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in parsed()
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef)
        and not node.name.startswith("_")
        and not documented(node)
    ]
    assert undocumented == []


def test_the_front_door_only_reexports() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf8"))
    defined = [n.name for n in tree.body if isinstance(n, Function | ast.ClassDef)]
    assert defined == []


def test_every_name_of_the_front_door_exists() -> None:
    program = "import amortis; print([n for n in amortis.__all__ if not hasattr(amortis, n)])"
    assert python(program).strip() == "[]"


def test_import_brings_in_no_heavy_library() -> None:
    program = "import json, sys, amortis; print(json.dumps(list(sys.modules)))"
    assert set(json.loads(python(program))) & HEAVY == set()


def test_import_leaves_the_configuration_of_jax_alone() -> None:
    program = (
        "import jax, numpyro, equinox, optax; before = dict(jax.config.values)\n"
        "import amortis; after = dict(jax.config.values)\n"
        "print(after['jax_enable_x64'], [k for k in after if after[k] != before.get(k)])"
    )
    assert python(program).strip() == "False []"


def documented(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> bool:
    return bool((ast.get_docstring(node) or "").strip())
