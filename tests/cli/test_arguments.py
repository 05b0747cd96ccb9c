import struct

import numpy as np
import pytest

from amortis._errors import AmortisError, ArgumentError, DataError, MissingColumnError
from amortis.cli.arguments import parse_set, read_data


def model(x, y, sd=1.0, kind="a"):
    """Four arguments, two of them required."""


def images(x, latents=8):
    """One required argument."""


def anything(x, **settings):
    """Takes any name."""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.arange(3.0))
    np.savez("y.npz", y=np.arange(3) + 10)
    np.savez("both.npz", x=np.arange(4.0), y=np.arange(4.0), sd=np.ones(4), other=np.zeros(2))
    for name, values in (("a.idx", [1, 2, 3]), ("b.idx", [7, 8, 9])):
        header = bytes([0, 0, 0x08, 1]) + struct.pack(">I", 3)
        (tmp_path / name).write_bytes(header + bytes(values))
    (tmp_path / "table.csv").write_text("x,text\n1.5,a\n2.5,b\n")


@pytest.mark.parametrize(
    ("function", "settings", "values"),
    [
        (model, ["sd=2.5", "kind=b"], {"sd": 2.5, "kind": "b"}),
        (model, ["sd=(1, 2)"], {"sd": (1, 2)}),
        (model, ["kind='1'", "sd=-1e-3"], {"kind": "1", "sd": -1e-3}),
        (model, ["kind=a=b"], {"kind": "a=b"}),
        (model, ["sd=True"], {"sd": True}),
        (anything, ["width=3"], {"width": 3}),
        (model, [], {}),
    ],
)
def test_settings_are_literals_or_text(function, settings, values) -> None:
    assert parse_set(function, settings) == values


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sd"], "--set is 'sd'; expected NAME=VALUE"),
        (["sd=1", "sd=2"], "gives 'sd' twice"),
        (["knid=1"], "'knid', which is no argument of the model; did you mean 'kind'"),
        (["=1"], "names '', which is no argument"),
    ],
)
def test_settings_that_fit_no_argument_are_refused(settings, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse_set(model, settings)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("function", "paths", "given", "expected", "unused"),
    [
        (model, ["x.npz", "y.npz"], [], {"x": [0.0, 1, 2], "y": [10, 11, 12]}, ()),
        (
            model,
            ["both.npz"],
            [],
            {"x": [0.0, 1, 2, 3], "y": [0.0, 1, 2, 3], "sd": [1.0] * 4},
            ("other",),
        ),
        # What --set gives is not taken from the file.
        (model, ["both.npz"], ["sd", "y"], {"x": [0.0, 1, 2, 3]}, ("other",)),
        (model, ["x.npz"], ["y"], {"x": [0.0, 1, 2]}, ()),
        (images, ["a.idx"], [], {"x": [1, 2, 3]}, ()),
        (model, ["a.idx"], ["y"], {"x": [1, 2, 3]}, ()),
        (model, ["a.idx", "y.npz"], [], {"x": [1, 2, 3], "y": [10, 11, 12]}, ()),
        (model, ["y=b.idx", "a.idx"], [], {"x": [1, 2, 3], "y": [7, 8, 9]}, ()),
        (model, ["y=b.idx", "x=a.idx"], [], {"x": [1, 2, 3], "y": [7, 8, 9]}, ()),
        (model, ["y=x.npz", "x.npz"], [], {"x": [0.0, 1, 2], "y": [0.0, 1, 2]}, ()),
        (images, ["table.csv"], [], {"x": [1.5, 2.5]}, ("text",)),
    ],
)
def test_arrays_go_to_arguments_by_name(function, paths, given, expected, unused) -> None:
    arrays, rest = read_data(function, paths, given)
    assert {name: array.tolist() for name, array in arrays.items()} == expected
    assert rest == unused


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("function", "paths", "kind", "message"),
    [
        (model, ["x.npz"], MissingColumnError, r"'x.npz' has no column 'y' .* of model\(\)"),
        (model, ["x.npz", "x.npz"], DataError, "both 'x.npz' and 'x.npz' have an array 'x'"),
        (model, ["x.npz", "both.npz"], DataError, "both 'x.npz' and 'both.npz' have an array 'x'"),
        (model, ["a.idx", "b.idx"], DataError, "one array without a name"),
        (model, ["x=both.npz"], DataError, "that file has 4 arrays; expected one to give to 'x'"),
        (model, ["no.npz"], DataError, "no file 'no.npz'"),
    ],
)
def test_files_that_do_not_serve_are_refused(function, paths, kind, message) -> None:
    with pytest.raises(kind, match=message) as refusal:
        read_data(function, paths, [])
    assert isinstance(refusal.value, AmortisError)
    assert "\n" not in str(refusal.value)
