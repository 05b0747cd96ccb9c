"""The examples with networks and documents, from files to files."""

import json
from pathlib import Path

import numpy as np
import pytest

from amortis.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
NOT_SETTLED = 4
"""A given number of steps of Adam is no sign that anything has settled."""


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Sixty pictures of 4 x 4 bytes, each with one bright row, as an IDX file."""
    pixels = np.zeros((60, 4, 4), np.uint8)
    pixels[np.arange(60), np.arange(60) % 4] = 255
    path = tmp_path_factory.mktemp("images") / "bars-idx3-ubyte"
    header = b"\0\0\x08\x03" + np.array(pixels.shape, ">i4").tobytes()
    path.write_bytes(header + pixels.tobytes())
    return path


def fitted(out: Path, model: str, data: Path, *options: str) -> dict:
    place = f"{EXAMPLES / model}:model"
    code = main(["fit", place, "--data", str(data), "--out", str(out), *options])
    assert code == NOT_SETTLED
    return json.loads((out / "numbers.json").read_text("utf8"))


@pytest.mark.usefixtures("standard_promotion")  # of NumPyro's Bernoulli
@pytest.mark.parametrize("inference", ["mlp:16x2", "iterative:3"])
def test_a_vae_of_images_from_a_file(inference, images, tmp_path, capsys) -> None:
    options = ("--set", "latents=2", "--set", "width=16", "--inference", inference)
    numbers = fitted(tmp_path, "vae.py", images, *options, "--optimiser", "adam:1500x20")
    # Sixteen coins cost 11.1 nats; which of four rows is bright costs 1.4 and no more.
    assert -4.0 < numbers["elbo"]["per_datum"] < -1.3
    place, archive = f"{EXAMPLES / 'vae.py'}:model", tmp_path / "fit.amortis"
    new = ["infer", place, "--fit", str(archive), "--new", str(images), "--out", str(tmp_path)]
    assert main(new) == NOT_SETTLED  # latents and width as in the fit
    assert len((tmp_path / "inferred.csv").read_text().splitlines()) == 1 + 60
    capsys.readouterr()


@pytest.mark.usefixtures("standard_promotion")
def test_topics_of_documents_in_compressed_rows(tmp_path, capsys) -> None:
    generator = np.random.default_rng(0)
    shares = np.where(np.arange(12) < 6, 0.9, 0.1), np.where(np.arange(12) < 6, 0.1, 0.9)
    kinds = np.arange(80) % 2
    counts = np.stack([generator.poisson(5.0 * shares[kind]) for kind in kinds])
    rows, columns = np.nonzero(counts)
    path = tmp_path / "documents.npz"
    indptr = np.searchsorted(rows, np.arange(81))
    np.savez(path, indptr=indptr, indices=columns, counts=counts[rows, columns], shape=counts.shape)
    options = ("--set", "topics=2", "--inference", "mlp:16x2", "--optimiser", "adam:2000x40")
    fitted(tmp_path / "out", "topics.py", path, *options)
    means = np.load(tmp_path / "out" / "local_moments.npz")["z.mean"]
    towards = means[:, 0] - means[:, 1]
    assert abs(np.corrcoef(towards, kinds)[0, 1]) > 0.9
    capsys.readouterr()
