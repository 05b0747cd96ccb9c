"""Lines that a user of a tool writes: its model, and what stands between the markers."""

import ast
from pathlib import Path

HERE = Path(__file__).parent
BEGIN, END = "# user code", "# end of user code"
_MODELS = {
    "pytorch": "torch_models",
    "pytorch_bnn": "torch_models",
    "pymc_advi": "pymc_models",
    "dadvi": "pymc_models",
}


def lines_of_user_code(module: str, task: str) -> int:
    """Lines that are neither blank, comments nor docstrings, of the contestant and its model.

    Args:
        module: of `racing.contestants`.
        task: name of the task, which is that of the model's function.
    """
    models = (HERE / f"{_MODELS.get(module, 'models')}.py").read_text()
    (found,) = (
        node
        for node in ast.parse(models).body
        if isinstance(node, ast.FunctionDef) and node.name == task
    )
    model = models.splitlines()[found.lineno - 1 : found.end_lineno]
    contestant = (HERE / "contestants" / f"{module}.py").read_text().splitlines()
    return _count(model) + _count(_between(contestant))


def _between(lines: list[str]) -> list[str]:
    inside, kept = False, []
    for line in lines:
        if line.strip() in (BEGIN, END):
            inside = line.strip() == BEGIN
        elif inside:
            kept.append(line)
    return kept


def _count(lines: list[str]) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)
