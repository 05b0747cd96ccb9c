"""20 Newsgroups as counts of words, with the halves of test documents for their completion."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np

import amortis
from amortis._errors import DataError, MissingFileError
from amortis.data import existing_file

_FOLDER, _VARIABLE = "20newsgroups", "AMORTIS_DATA"


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Documents as counts of words.

    Attributes:
        train: documents that are fitted.
        test: held-out documents.
        first_half: of each of them, a part of the words, from which its proportions are inferred.
        second_half: the other part, which is predicted.
        words: the vocabulary.
    """

    train: amortis.SparseCounts
    test: amortis.SparseCounts
    first_half: amortis.SparseCounts
    second_half: amortis.SparseCounts
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in (self.train, self.test, self.first_half, self.second_half):
            if part.columns != len(self.words):
                raise DataError(
                    f"{part.name} have {part.columns} columns and the vocabulary has "
                    f"{len(self.words)} words; expected as many: read both from one corpus"
                )
        if len(self.first_half) != len(self.second_half):
            raise DataError(
                f"there are {len(self.first_half)} first halves of documents and "
                f"{len(self.second_half)} second ones; expected as many: split each document"
            )

    @property
    def digest(self) -> str:
        """What tells these documents from others."""
        found = hashlib.sha256("\n".join(self.words).encode())
        for part in (self.train, self.test, self.first_half, self.second_half):
            for array in (part.indptr, part.indices, part.counts):
                found.update(np.ascontiguousarray(array, np.int64).tobytes())
        return found.hexdigest()


def load_corpus(folder: Path | None = None) -> Corpus:
    """Read 20 Newsgroups.

    Args:
        folder: where its files are; None for `20newsgroups` below the folder in `AMORTIS_DATA`.

    Returns:
        The corpus: 11 214 documents to fit, 7531 held out, 3072 words.

    Raises:
        MissingFileError: there is no such folder or file.
        DataError: a file is damaged, or its counts are not counts.
    """
    folder = _below_the_variable() if folder is None else folder
    text = Path(existing_file(folder / "vocab.txt")).read_text(encoding="utf8")
    words = tuple(text.split())
    names = ("train", "test", "test_first_half", "test_second_half")
    parts = [amortis.read_counts(folder / f"{name}.npz", len(words)) for name in names]
    train, test, first, second = parts
    return Corpus(train, test, first, second, words)


def _below_the_variable() -> Path:
    root = os.environ.get(_VARIABLE)
    if not root or not (Path(root) / _FOLDER).is_dir():
        raise MissingFileError(
            f"no folder {_FOLDER} below {_VARIABLE} ({root or 'not set'}); expected one with "
            f"train.npz, test.npz, its two halves and vocab.txt: set {_VARIABLE} to where it is"
        )
    return Path(root) / _FOLDER
