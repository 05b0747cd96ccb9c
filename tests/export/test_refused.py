"""What is no archive, or not one any more, is refused in one line; it is never misread."""

import copy
import dataclasses
import hashlib
import io
import json
import os
import pickle
import resource
import time
import zipfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amortis import (
    MLP,
    AmortisError,
    ArchiveError,
    ArgumentError,
    Constant,
    DiagonalNormal,
    Fit,
    Windowed,
    load,
    save,
)
from tests.export.fits import density, unoptimised

LINE = r"'.*fit\.amortis' .*; expected .*: .*"


X = np.linspace(-1.0, 1.0, 10, dtype=np.float32)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return unoptimised(density(X), MLP(4))


@pytest.fixture(scope="module")
def path(fitted, tmp_path_factory):
    """A good archive."""
    path = tmp_path_factory.mktemp("archive") / "fit.amortis"
    save(fitted, path)
    return path


@pytest.fixture(scope="module")
def good(path):
    return load(path)


@pytest.fixture(scope="module")
def windowed(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "fit.amortis"
    save(unoptimised(fitted.model, Windowed(MLP(2), (-1, 0))), path)
    return path


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, parts, compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts if isinstance(parts, list) else parts.items():
            archive.writestr(name, data)


def signed(manifest) -> bytes:
    """A manifest whose checksum is right, as somebody could write who wanted to."""
    said = {k: v for k, v in manifest.items() if k != "sha256"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":")).encode("ascii")
    return json.dumps({**said, "sha256": hashlib.sha256(text).hexdigest()}).encode("ascii")


def refused(path, match: str = "") -> None:
    with pytest.raises(ArchiveError, match=LINE) as caught:
        load(path)
    line = str(caught.value)
    assert "\n" not in line and match in line, line


def leaves(loaded) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(loaded)]


@settings(max_examples=300)
@given(data=st.data())
def test_any_byte_flipped_is_refused_or_means_nothing(path, good, tmp_path_factory, data) -> None:
    kept = path.read_bytes()
    flipped = bytearray(kept)
    # The structure of a ZIP file stands at its end: half of the examples damage that.
    last = len(kept) - 1
    at = data.draw(st.integers(0, last) | st.integers(last - 2000, last))
    flipped[at] ^= data.draw(st.integers(1, 255))
    damaged = tmp_path_factory.mktemp("flipped") / "fit.amortis"
    damaged.write_bytes(flipped)
    try:
        found = load(damaged)
    except ArchiveError as error:
        assert "\n" not in str(error)
        return
    assert leaves(found) == leaves(good)
    assert found.input_names == good.input_names and found.status is good.status


@settings(max_examples=100)
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_any_cut_is_refused(path, tmp_path_factory, share) -> None:
    kept = path.read_bytes()
    cut = tmp_path_factory.mktemp("cut") / "fit.amortis"
    cut.write_bytes(kept[: int(share * len(kept))])
    refused(cut)


@pytest.mark.parametrize("content", [b"", b"PK", b"text", pickle.dumps({"a": 1}), b"\0" * 5000])
def test_foreign_files(tmp_path, content) -> None:
    (tmp_path / "fit.amortis").write_bytes(content)
    refused(tmp_path / "fit.amortis", "is cut short, damaged, or no archive of a fit")


def test_a_file_of_arrays_is_no_fit(tmp_path) -> None:
    with (tmp_path / "fit.amortis").open("wb") as stream:
        np.savez(stream, x=np.arange(3))
    refused(tmp_path / "fit.amortis", "holds no manifest.json")


@pytest.mark.parametrize(
    "name",
    ["../evil.npy", "/etc/passwd", "a/b.npy", "..\\evil.npy", "code.pkl", "C:x.npy", "é.npy"],
)
def test_paths_and_strangers_inside(path, tmp_path, name) -> None:
    write(tmp_path / "fit.amortis", {**members(path), name: b"0"})
    refused(tmp_path / "fit.amortis", "which is no array of a fit")
    assert [p.name for p in tmp_path.iterdir()] == ["fit.amortis"]


def test_pickles_inside_are_not_unpickled(path, tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was_here"),)

    stream = io.BytesIO()
    np.save(stream, np.asarray([Evil()], object), allow_pickle=True)
    for data in (stream.getvalue(), pickle.dumps(Evil())):
        parts = members(path)
        manifest = json.loads(parts["manifest.json"])
        for dtype in ("float32", "object"):
            listed = {"dtype": dtype, "shape": [1], "sha256": hashlib.sha256(data).hexdigest()}
            manifest["arrays"]["offset"] = listed
            parts |= {"offset.npy": data, "manifest.json": signed(manifest)}
            write(tmp_path / "fit.amortis", parts)
            refused(tmp_path / "fit.amortis", "array" if dtype == "float32" else "type")
    assert not (tmp_path / "was_here").exists()


def test_arrays_that_are_missing_extra_twice_or_exchanged(path, tmp_path) -> None:
    damaged, parts = tmp_path / "fit.amortis", members(path)
    write(damaged, {n: d for n, d in parts.items() if n != "offset.npy"})
    refused(damaged, "other arrays than its manifest lists")
    write(damaged, {**parts, "more.npy": parts["offset.npy"]})
    refused(damaged, "other arrays than its manifest lists")
    with pytest.warns(UserWarning, match="Duplicate name"):
        write(damaged, [*parts.items(), ("offset.npy", parts["offset.npy"])])
    refused(damaged, "two members of one name")
    pair = {"offset.npy": parts["variational.locals.bias.npy"]}
    assert len(pair["offset.npy"]) == len(parts["offset.npy"])
    write(damaged, {**parts, **pair})
    refused(damaged, "'offset' with other bytes than were written")


def test_what_is_compressed_or_declares_more_than_there_is(path, tmp_path) -> None:
    damaged, parts = tmp_path / "fit.amortis", members(path)
    write(damaged, {**parts, "bomb.npy": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED)
    refused(damaged, "compressed or encrypted")
    kept = bytearray(path.read_bytes())
    entry = kept.rindex(b"PK\x01\x02")  # the last member, in the table of contents
    kept[entry + 20 : entry + 28] = (0x7FFFFFFF).to_bytes(4, "little") * 2
    damaged.write_bytes(kept)
    refused(damaged, "declares more than the")


def test_a_manifest_edited_by_hand(path, tmp_path) -> None:
    parts = members(path)
    edited = parts["manifest.json"].replace(b"DRAWS_EXHAUSTED", b"CONVERGED")
    assert edited != parts["manifest.json"]
    write(tmp_path / "fit.amortis", {**parts, "manifest.json": edited})
    refused(tmp_path / "fit.amortis", "has a manifest that was edited or damaged")


def test_a_later_version_asks_for_an_upgrade(path, tmp_path) -> None:
    parts = members(path)
    manifest = json.loads(parts["manifest.json"]) | {"version": 2, "new": {"of": "later"}}
    del manifest["fit"]
    write(tmp_path / "fit.amortis", {**parts, "manifest.json": json.dumps(manifest)})
    refused(tmp_path / "fit.amortis", "has format 2, of a later amortis; expected format 1 or")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"\xff", b'{"format": "else"}', b"[" * 100_000, b"9" * 5000, b"null"]
)
def test_other_manifests(path, tmp_path, text) -> None:
    write(tmp_path / "fit.amortis", {**members(path), "manifest.json": text})
    refused(tmp_path / "fit.amortis")


HUGE = 2**40
EDITS = {
    "status": ["FINE", None, 1],
    "held": [None, 1, "yes"],
    "function": [3, ["model"]],
    "local": [0],
    "globals": [None, [["a"]], [["a", [3]], ["a", [3]]], [["a", [HUGE, HUGE]]], [[1, []]], {}],
    "locals": [[["z", [-1]]], [["z", [True]]], [], [["z", [2]]], [["z", [1] * 33]]],
    "global_family": [{"class": "Normal"}, {"class": "Point"}, None, {"class": "MLP", "width": 1}],
    "local_family": [{"class": "Point"}, {"class": "DiagonalNormal", "more": 1}],
    "inference.class": ["os.system", "Table", "Constant", 7, ""],
    "inference.inner": [{"class": "Windowed"}, {"class": "Table"}, None, {"class": "SetNetwork"}],
    "inference.inner.width": [3, HUGE, -1, True, 2.0, "2"],
    "inference.inner.depth": [1, 0, HUGE, 900],
    "inference.inner.skip": [False, 0],
    "inference.inner.activation": ["relu6", "__import__", None],
    "inference.offsets": [[], [0, 0], [0.5], [-1, 0, 1], "01", [-2 * HUGE, 0]],
    "shape.rows": [-1, None, "1"],
    "shape.columns": [1, 0, HUGE],
    "shape.outputs": [3, HUGE],
    "shape.members": [1, -1],
    "shape.edges": [0, 2, 10, HUGE],
    "reads.rows": [["x", "y"], [], [1], None, "x"],
    "reads.series": [["x", "y"], [], "x", [None]],
    "reads.members": [["y"], 3],
    "data": [None, []],
}


@pytest.mark.parametrize("place", EDITS)
def test_edits_that_know_the_checksum_describe_no_fit(windowed, tmp_path, place) -> None:
    parts = members(windowed)
    manifest = json.loads(parts["manifest.json"])
    load(windowed)  # the unedited one can be read
    for value in EDITS[place]:
        edited = copy.deepcopy(manifest)
        *outer, last = place.split(".")
        table = edited["fit"]
        for name in outer:
            table = table[name]
        manifest_value = table[last]
        assert manifest_value != value or type(manifest_value) is not type(value)
        table[last] = value
        write(tmp_path / "fit.amortis", {**parts, "manifest.json": signed(edited)})
        started = time.perf_counter()
        refused(tmp_path / "fit.amortis")
        assert time.perf_counter() - started < 30.0  # no number asks for hours of work
    if manifest_value is not None:  # what is left out is nothing
        del table[last]
        write(tmp_path / "fit.amortis", {**parts, "manifest.json": signed(edited)})
        refused(tmp_path / "fit.amortis")


@pytest.mark.parametrize("shape", [[HUGE], [HUGE, HUGE, HUGE], [-2], [1] * 40, [3], None, [0]])
def test_arrays_that_declare_another_shape(path, tmp_path, shape) -> None:
    parts = members(path)
    manifest = json.loads(parts["manifest.json"])
    manifest["arrays"]["offset"]["shape"] = shape
    write(tmp_path / "fit.amortis", {**parts, "manifest.json": signed(manifest)})
    refused(tmp_path / "fit.amortis")


class Scaled(eqx.Module):
    """An activation of somebody's own."""

    def __call__(self, x):
        return 2.0 * x


class Own(Constant):
    """An inference function of somebody's own."""


class OwnFamily(DiagonalNormal):
    """A family of somebody's own."""


def test_code_of_the_users_own_is_refused_when_it_is_saved(fitted, tmp_path) -> None:
    model = fitted.model
    for fit, match in (
        (unoptimised(model, Own()), r"inference of the fit is Own\(\), a class of your own"),
        (unoptimised(model, MLP(2, activation=Scaled())), r"activation .* expected one of elu, "),
        (unoptimised(model, Windowed(MLP(2, activation=jnp.sin), (0,))), "activation of the fit"),
        (unoptimised(model, Constant(), OwnFamily()), r"globals_ of the fit is OwnFamily\(\)"),
    ):
        with pytest.raises(ArgumentError, match=match) as caught:
            save(fit, tmp_path / "fit.amortis")
        assert "\n" not in str(caught.value)
    integers = jax.tree.map(lambda leaf: leaf.astype(jnp.int4), fitted.variational)
    with pytest.raises(ArgumentError, match="has dtype int4; expected one of"):
        save(dataclasses.replace(fitted, variational=integers), tmp_path / "fit.amortis")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_what_was_there(fitted, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for where in ("missing/fit.amortis", "file/fit.amortis", "folder"):
        with pytest.raises(ArgumentError, match="cannot be written: ") as caught:
            save(fitted, tmp_path / where)
        assert "\n" not in str(caught.value)
    for where in ("", ".", "/", "a\0b"):
        with pytest.raises(ArgumentError, match="expected one that names a file"):
            save(fitted, where)
    save(fitted, tmp_path / "fit.amortis")
    kept = (tmp_path / "fit.amortis").read_bytes()

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # as a disk that is full
    try:
        with pytest.raises(ArgumentError, match="cannot be written: File too large; choose"):
            save(fitted, tmp_path / "fit.amortis")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "fit.amortis").read_bytes() == kept
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "fit.amortis", "folder"]


def test_arguments_of_the_wrong_kind(fitted, path, tmp_path) -> None:
    for call, match in (
        (lambda: load(tmp_path / "fit.amortis"), "there is no file"),
        (lambda: load(tmp_path), "is a folder"),
        (lambda: load(path.parent / "fit.amorti"), r"did you mean '.*fit\.amortis'"),
        (lambda: load(path, None, X), "data without a model; expected the NumPyro function"),
        (lambda: load(path, fitted.model, X), "a bound model together with data"),
    ):
        with pytest.raises(AmortisError, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert not isinstance(caught.value, ArchiveError)
