import sys

import pytest

from amortis._errors import AmortisError, ArgumentError, MissingFileError, ModelRaisedError
from amortis.cli.load_model import load_model, place_in


def write(folder, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf8")
    return str(folder / name)


def test_the_function_of_that_name_is_returned(tmp_path) -> None:
    file = write(tmp_path, "models.py", "def model(x):\n    return x + 1\nother = model\n")
    assert load_model(f"{file}:model")(2) == 3
    assert load_model(f"{file}:other")(2) == 3


def test_neighbors_can_be_imported_and_dataclasses_defined(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(tmp_path, "neighbor_of_a_model.py", "SCALE = 3\n")
    text = (
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "from neighbor_of_a_model import SCALE\n"
        "@dataclasses.dataclass\n"
        "class Setting:\n    scale: int = SCALE\n"
        "def model(x):\n    return x * Setting().scale\n"
    )
    assert load_model(f"{write(tmp_path, 'm.py', text)}:model")(2) == 6


def test_a_file_named_like_a_library_does_not_replace_it(tmp_path) -> None:
    import numpyro

    file = write(tmp_path, "numpyro.py", "def model(x):\n    return x\n")
    load_model(f"{file}:model")
    assert sys.modules["numpyro"] is numpyro


@pytest.mark.parametrize("text", ["model.py", "model", ":model", "model.txt:model", "m.py:a b"])
def test_text_that_is_not_file_and_function_is_refused(text) -> None:
    with pytest.raises(ArgumentError, match=r"expected a file and a function, such as"):
        load_model(text)


@pytest.mark.parametrize(
    ("file", "kind", "message"),
    [
        ("modle.py:model", MissingFileError, r"no file '.*modle.py'; did you mean '.*model.py'\?"),
        ("zzz.py:model", MissingFileError, r"no file '.*zzz.py'; check the path"),
        ("no/where.py:model", MissingFileError, r"nor a folder '.*no'"),
        ("folder.py:model", MissingFileError, r"it is a folder"),
        ("model.py:modle", ArgumentError, r"defines no 'modle'; did you mean 'model'\?"),
        ("model.py:quite_else", ArgumentError, r"no 'quite_else'; it has 'model', 'second'"),
        ("model.py:SIZE", ArgumentError, r"'SIZE' in '.*' is a int; expected the model as a func"),
        ("raises.py:model", ModelRaisedError, r"raised ValueError .*: no luck \(.*raises.py:2: r"),
        ("syntax.py:model", ModelRaisedError, r"raised SyntaxError .*\(.*syntax.py:2: "),
        ("leaves.py:model", ModelRaisedError, r"raised SystemExit .*\(.*leaves.py:2: "),
        ("imports.py:model", ModelRaisedError, r"ModuleNotFoundError .*'not_there'"),
    ],
)
def test_each_fault_has_its_line(tmp_path, file, kind, message) -> None:
    (tmp_path / "folder.py").mkdir()
    write(tmp_path, "model.py", "SIZE = 3\ndef model(x): ...\ndef second(x): ...\n")
    write(tmp_path, "raises.py", "def model(x): ...\nraise ValueError('no luck\\nat all')\n")
    write(tmp_path, "syntax.py", "def model(x): ...\ndef broken(:\n")
    write(tmp_path, "leaves.py", "import sys\nsys.exit(3)\n")
    write(tmp_path, "imports.py", "import not_there\n")
    with pytest.raises(AmortisError, match=message) as refusal:
        load_model(str(tmp_path / file))
    assert type(refusal.value) is kind
    assert "\n" not in str(refusal.value)


def test_the_place_is_the_last_line_in_the_user_s_file(tmp_path) -> None:
    text = "def inner(x):\n    return 1 / x\ndef model(x):\n    return inner(x)\n"
    file = write(tmp_path, "m.py", text)
    function = load_model(f"{file}:model")
    with pytest.raises(ZeroDivisionError) as raised:
        function(0)
    assert place_in(raised.value, file) == f"{file}:2: return 1 / x"
    outer = RuntimeError("wrapped")
    outer.__cause__ = raised.value
    assert place_in(outer, file) == f"{file}:2: return 1 / x"
    assert place_in(outer, str(tmp_path / "other.py")) == ""
    assert place_in(None, file) == ""
