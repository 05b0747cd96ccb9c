"""A random order of many rows, any part of which can be had without the rest."""

import math

import numpy as np
from jaxtyping import Int, UInt32

_ROUNDS = 4


def scattered(
    positions: Int[np.ndarray, " n"], size: int, seed: tuple[int, ...]
) -> Int[np.ndarray, " n"]:
    r"""Entries of a pseudorandom permutation of 0, …, size - 1, in O(n) time and memory.

    The numbers are laid out in a grid of a × b ≥ size cells with a, b ≈ √size. A round turns every
    row by an amount that hashes its number, and then every column by one that hashes its own,
    each of which permutes the cells whatever the hash is. A number that lands in one of the few
    cells beyond `size` is sent through once more until it does not, which closes the gaps in the
    cycles of the permutation.

    Args:
        positions: entries that are asked for, each in [0, size).
        size: length of the permutation, at most 2³¹.
        seed: seeds the permutation.

    Returns:
        The entries; those of different positions differ.

    References:
        Luby & Rackoff, *How to construct pseudorandom permutations* (1988); Black & Rogaway,
        *Ciphers with arbitrary finite domains* (2002), for grids and for walking the cycle.
    """
    keys = np.random.default_rng(seed).integers(2**32, size=(_ROUNDS, 2), dtype=np.uint32)
    height = math.isqrt(size - 1) + 1 if size > 1 else 1
    width = -(-size // height)
    entries = _sent(positions.astype(np.uint32), height, width, keys)
    while (outside := np.flatnonzero(entries >= size)).size:
        entries[outside] = _sent(entries[outside], height, width, keys)
    return entries.astype(np.int32)


def _sent(
    numbers: UInt32[np.ndarray, " n"], height: int, width: int, keys: UInt32[np.ndarray, "rounds 2"]
) -> UInt32[np.ndarray, " n"]:
    """Where the cells of these numbers go."""
    row, column = np.divmod(numbers, np.uint32(width))
    for down, along in keys:
        row = _turned(row, column ^ down, height)
        column = _turned(column, row ^ along, width)
    return row * np.uint32(width) + column


def _turned(
    place: UInt32[np.ndarray, " n"], by: UInt32[np.ndarray, " n"], length: int
) -> UInt32[np.ndarray, " n"]:
    """Places on a circle, moved on by a hash of `by`."""
    # The finalizer of MurmurHash3, and the high word of a product in place of a division.
    mixed = (by ^ (by >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    steps = (mixed.astype(np.uint64) * np.uint64(length) >> np.uint64(32)).astype(np.uint32)
    moved = place + steps
    return np.where(moved >= length, moved - np.uint32(length), moved)
