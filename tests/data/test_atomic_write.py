import pytest

from amortis._errors import ArgumentError
from amortis.data import replacing


def test_the_bytes_arrive_and_nothing_else_stays(tmp_path) -> None:
    with replacing(tmp_path / "a.bin") as stream:
        stream.write(b"new")
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_failure_keeps_the_old_file(tmp_path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.bin") as stream:
        stream.write(b"half")
        _ = 1 / 0
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("where", ["missing/a.bin", "file/a.bin"])
def test_a_path_that_cannot_be_written_is_one_line(tmp_path, where) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(ArgumentError, match=r"'.*a\.bin' cannot be written: .*; choose")
    with refused, replacing(tmp_path / where):
        pass


def test_a_folder_in_the_way_is_refused_and_leaves_nothing(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ArgumentError, match="cannot be written"), replacing(tmp_path / "a"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
