"""Subsets that tell every two units apart, so that few evaluations look at all pairs."""

import math

import numpy as np
from jaxtyping import Bool


def separating_subsets(count: int, seed: int = 0) -> Bool[np.ndarray, "subsets count"]:
    r"""Subsets of `count` units such that each ordered pair is separated by one of them.

    For every $m \ne n$ there is a subset that holds m and not n. Unit u is in subset b if bit b of
    its code word is set; the code words all have the same weight, so none covers another
    (Sperner 1928), and $K$ subsets are enough for $\binom{K}{\lfloor K/2 \rfloor}$ units:
    thirteen for a thousand units, twenty-three for a million.

    Args:
        count: number of units, at least one.
        seed: which unit gets which code word is drawn from this seed.

    Returns:
        One row per subset; no rows if there is one unit.
    """
    bits = 0
    while math.comb(bits, bits // 2) < count:
        bits += 1
    order = np.random.default_rng(seed).permutation(count)
    return _code_words(order, bits)


def separating_blocks(count: int, length: int, seed: int = 0) -> Bool[np.ndarray, "subsets count"]:
    """Separating subsets made of runs of neighbors, for units that share their data with those.

    Runs of `length` units are separated, twice: the second time they begin half a run later.

    Args:
        count: number of units.
        length: units in a run.
        seed: of the code words.

    Returns:
        One row per subset.
    """
    subsets = []
    for shift in (0, length // 2):
        block = (np.arange(count) + shift) // length
        subsets.append(separating_subsets(int(block[-1]) + 1, seed + shift)[:, block])
    return np.concatenate(subsets)


def _code_words(rank: np.ndarray, bits: int) -> Bool[np.ndarray, "bits count"]:
    """The words of weight `bits // 2` with these ranks in lexicographic order."""
    weight = np.full(rank.shape, bits // 2, np.int8)
    rank = rank.astype(np.int32 if math.comb(bits, bits // 2) < 2**31 else np.int64)
    words = np.zeros((bits, rank.shape[0]), bool)
    for bit in range(bits):
        left = bits - 1 - bit
        # Words that go on with a zero here come first: `weight` ones are among the `left` bits.
        zeros = np.array([math.comb(left, w) for w in range(bits + 1)], rank.dtype)[weight]
        one = (rank >= zeros) & (weight > 0)
        words[bit] = one
        rank -= zeros * one
        weight -= one
    return words
