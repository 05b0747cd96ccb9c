"""What the tests of the data room share: an empty folder to work in, and messages to compare."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Message = Callable[..., str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that messages show short relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def message() -> Message:
    """A function that calls, expects exactly this error, and returns its one-line message."""

    def call(error: type[Exception], function: Callable[..., Any], *args: Any) -> str:
        with pytest.raises(error) as caught:
            function(*args)
        assert type(caught.value) is error
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return call
