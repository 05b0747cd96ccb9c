"""docs/examples.md: worked examples from files, every command and picture made anew.

python benchmarks/examples_page.py --data FOLDER [--page docs/examples.md] [--only TITLE]

FOLDER has `mnist` and `20newsgroups` below it, as `amortis reproduce` expects them.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Command:
    """Typed into a shell; what it prints stands below."""

    text: str


@dataclasses.dataclass(frozen=True)
class Code:
    """Python, with a picture in `figure` where one is named."""

    text: str
    picture: str | None = None


@dataclasses.dataclass(frozen=True)
class Example:
    """A section of the page."""

    title: str
    words: str
    steps: tuple[str | Command | Code, ...]


IMAGES = "$AMORTIS_DATA/mnist/t10k-images-idx3-ubyte.gz"
NEWS = "$AMORTIS_DATA/20newsgroups"

EXAMPLES = (
    Example(
        "A variational autoencoder of images",
        "Ten thousand digits in one file, as the MNIST archive has them; the model is a page of "
        "NumPyro in examples/vae.py, with a decoder of two hidden layers and 20 latents.",
        (
            Command(
                f"amortis fit examples/vae.py:model --data {IMAGES} "
                "--inference mlp:200x2 --optimiser adam:2000x100 --out vae"
            ),
            "The status says that the steps were all taken, not that the fit has settled: that is "
            "what a given number of them means. The fit is in `vae/fit.amortis`; images are "
            "inferred by it with nothing optimised:",
            Command(
                f"amortis infer examples/vae.py:model --fit vae/fit.amortis --new {IMAGES} "
                "--outside unchecked --out inferred"
            ),
            "The same archive in Python: images, what the decoder makes of the middle of their "
            "factors, and what it makes of draws from the prior.",
            Code(
                """
                import amortis, equinox as eqx, jax, matplotlib.pyplot as plt, numpy as np
                from amortis.data import read_arrays
                from examples.vae import model

                x = read_arrays(images)[""][:8]
                fitted = amortis.infer(amortis.load("vae/fit.amortis", model), x)
                blank = eqx.nn.MLP(20, 784, 200, 2, jax.nn.elu, key=jax.random.key(0))
                decoder = eqx.combine(fitted.params["decoder$params"], blank)
                means = fitted.moments()["z"][0]
                dreams = jax.random.normal(jax.random.key(1), (8, 20))
                rows = x, *(jax.nn.sigmoid(jax.vmap(decoder)(z)) for z in (means, dreams))
                figure, axes = plt.subplots(3, 8, figsize=(8, 3.2))
                for line, pictures, name in zip(axes, rows, ("image", "decoded", "from the prior")):
                    for axis, picture in zip(line, pictures):
                        axis.imshow(np.reshape(picture, (28, 28)), cmap="gray_r")
                        axis.set(xticks=[], yticks=[])
                    line[0].set_ylabel(name, rotation=0, ha="right")
                """,
                "examples-vae.png",
            ),
        ),
    ),
    Example(
        "The same by a function that learns to infer",
        "`iterative:5x2` looks at the slope of each image's own ELBO five times, by two draws "
        "each; see [iterative.md](iterative.md).",
        (
            Command(
                f"amortis fit examples/vae.py:model --data {IMAGES} "
                "--inference iterative:5x2 --optimiser adam:1000x100 --out iterated"
            ),
            "More steps than in training, with nothing trained:",
            Code(
                """
                import amortis, jax, matplotlib.pyplot as plt
                from amortis.data import read_arrays
                from examples.vae import model

                x = read_arrays(images)[""][:500]
                fitted = amortis.infer(amortis.load("iterated/fit.amortis", model), x)
                steps, key = (1, 2, 3, 5, 8, 12, 20), jax.random.key(1)
                more = [amortis.with_steps(fitted, count) for count in steps]
                elbos = [one.elbo(key=key, draws=16).mean / len(x) for one in more]
                figure, axis = plt.subplots(figsize=(6, 3.2))
                axis.plot(steps, elbos, "o-")
                axis.axvline(5, color="gray", linewidth=0.8)
                axis.set(xlabel="steps (5 in training)", ylabel="ELBO, nats per image")
                """,
                "examples-iterative.png",
            ),
        ),
    ),
    Example(
        "Topics of documents",
        "The 20 Newsgroups as counts in compressed rows: an NPZ file with the `indptr`, `indices` "
        "and `counts` of a CSR matrix, or what `scipy.sparse.save_npz` writes, is read as one "
        "dense array. It should also hold the matrix's `shape`: else there are as many words as "
        "the largest index says, and other documents may have others. ProdLDA in twenty lines of "
        "NumPyro is in examples/topics.py; a study with a better encoder is in "
        "[topics.md](topics.md).",
        (
            Command(
                f"amortis fit examples/topics.py:model --data {NEWS}/train.npz "
                "--set scale=3.0 --inference mlp:100x2 --optimiser adam:3000x200 --out topics"
            ),
            "Topics of new documents; the archive knows the `scale` of its fit:",
            Command(
                "amortis infer examples/topics.py:model --fit topics/fit.amortis "
                f"--new {NEWS}/test.npz --outside unchecked --out inferred"
            ),
            "Documents that are too many to be dense together come in blocks, from "
            "`SparseCounts`, which refuses empty documents, words outside the vocabulary and "
            "counts that are no whole numbers. The topics themselves are point estimates, which a "
            "model has that is bound to some documents:",
            Code(
                """
                import amortis, matplotlib.pyplot as plt, numpy as np
                from examples.topics import model

                trained = amortis.load("topics/fit.amortis", model)
                test = amortis.read_counts(news / "test.npz", columns=3072)
                blocks = ({"counts": rows, "scale": 3.0} for rows in test.blocks(1000))
                z = np.concatenate([block.mean["z"] for block in amortis.stream(trained, blocks)])
                shares = np.exp(z - z.max(axis=1, keepdims=True))
                shares /= shares.sum(axis=1, keepdims=True)
                words = np.array((news / "vocab.txt").read_text().split())
                some = amortis.infer(trained, next(test.blocks(10)), scale=3.0)
                weights = np.asarray(some.params["weights"])
                busiest = np.argsort(-shares.mean(axis=0))[:12]
                names = [" ".join(words[np.argsort(-weights[k])[:6]]) for k in busiest]
                figure, axis = plt.subplots(figsize=(7, 3.6))
                axis.barh(names[::-1], shares.mean(axis=0)[busiest][::-1])
                axis.set(xlabel="mean share of 7531 new documents")
                """,
                "examples-topics.png",
            ),
        ),
    ),
)

HEAD = """# Worked examples, from files

Each model is a file in [examples](../examples); data come from files, and so do the results. All of
this page, its numbers and its pictures, is made by one command on two cores:

```
python benchmarks/examples_page.py --data DATA
```

`AMORTIS_DATA` names the folder DATA, with `mnist` and `20newsgroups` below it; in Python, `images`
is the path of the images and `news` that of the folder `20newsgroups`. Other models in the folder
are hierarchical: eight schools, radon, an election, item responses, PCA.
"""


def typed(command, folder, data):
    """What a command prints, and its wall time."""
    started = time.perf_counter()
    environment = os.environ | {
        "AMORTIS_DATA": str(data),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 4):  # 4: a given number of steps is no sign of settling
        raise SystemExit(f"{command}\n{done.stdout}\n{done.stderr}")
    seconds = time.perf_counter() - started
    return done.stdout.replace(str(data), "$AMORTIS_DATA").strip(), seconds


def drawn(code, folder, data, picture):
    """Run a block of Python in the folder, and keep its figure."""
    before = Path.cwd()
    os.chdir(folder)
    sys.path[:0] = [str(ROOT)]
    names = {
        "images": data / "mnist" / "t10k-images-idx3-ubyte.gz",
        "news": data / "20newsgroups",
    }
    try:
        exec(compile(textwrap.dedent(code.text), "page", "exec"), names)
    finally:
        os.chdir(before)
    figure = names["figure"]
    figure.tight_layout()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)


def section(example, folder, data, images):
    """One example, run and written down."""
    lines = [f"## {example.title}", "", *textwrap.wrap(example.words, 120), ""]
    for step in example.steps:
        if isinstance(step, str):
            lines += [*textwrap.wrap(step, 120), ""]
        elif isinstance(step, Command):
            printed, seconds = typed(step.text, folder, data)
            print(f"{step.text}\n{printed}\n{seconds:.0f} s", flush=True)
            shown = step.text.replace(" --", " \\\n    --")
            lines += ["```", shown, "```", "", "```", printed, f"({seconds:.0f} s in all)", "```"]
            lines += [""]
        else:
            drawn(step, folder, data, images / step.picture)
            lines += ["```python", textwrap.dedent(step.text).strip(), "```", ""]
            lines += [f"![{example.title}](images/{step.picture})", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "examples.md")
    parser.add_argument("--only", help="the title of one example; the page is not written")
    given = parser.parse_args()
    data = given.data.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "examples").symlink_to(ROOT / "examples")
        chosen = [one for one in EXAMPLES if given.only in (None, one.title)]
        images = given.page.parent / "images" if given.only is None else folder
        sections = [section(one, folder, data, images) for one in chosen]
    if given.only is None:
        given.page.write_text("\n".join([HEAD, *sections]).rstrip() + "\n", "utf8")


if __name__ == "__main__":
    main()
