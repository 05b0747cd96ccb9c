import numpy as np
import pytest

from amortis import DataError
from amortis.data.json_file import json_names, read_json
from amortis.data.read import read_arguments


def test_numbers_lists_and_matrices(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('{"J": 3, "y": [1.5, 2, 0.5], "group": [1, 1, 3], "m": [[1, 2], [3, 4]]}')
    assert json_names(path) == ["J", "y", "group", "m"]
    arrays = read_json(path)
    assert arrays["J"].shape == () and arrays["y"].dtype == float
    assert arrays["group"].dtype.kind == "i" and arrays["m"].shape == (2, 2)
    assert list(read_json(path, only={"y"})) == ["y"]


def test_single_numbers_reach_the_model_as_numbers(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('{"y": [1.5, 2, 0.5], "J": 3, "other": [1]}')
    arguments, unused = read_arguments(lambda y, J: None, path)
    assert type(arguments["J"]) is int and unused == ("other",)
    np.testing.assert_array_equal(arguments["y"], [1.5, 2.0, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "holds a JSON list, expected an object of arrays by name"),
        ("{", "is not JSON"),
        ('{"a": [[1], [2, 3]]}', "'a': lists of unequal lengths, expected a rectangular array"),
        ('{"a": ["x", "y"]}', "'a': expected numbers"),
    ],
)
def test_what_is_not_an_object_of_arrays_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_json(path)
    assert "\n" not in str(caught.value)
