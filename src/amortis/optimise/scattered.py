"""A random order of many rows, any part of which can be had without the rest."""

import numpy as np
from jaxtyping import Int, UInt32

_ROUNDS = 3


def scattered(
    positions: Int[np.ndarray, " n"], size: int, seed: tuple[int, ...]
) -> Int[np.ndarray, " n"]:
    r"""Entries of a pseudorandom permutation of 0, …, size - 1, in O(n) time and memory.

    The numbers are laid out in a grid of at least `size` cells, nearly a square, of a power of two
    columns. A round turns every column by an amount that hashes its number, and then every row by
    one that hashes its own, each of which permutes the cells whatever the hash is. A number that
    lands in one of the few cells beyond `size` is sent through once more until it does not, which
    closes the gaps in the cycles of the permutation.

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
    bits = (size - 1).bit_length() // 2
    height = -(-size // 2**bits)
    entries = _sent(positions.astype(np.uint32), height, bits, keys)
    while (outside := np.flatnonzero(entries >= size)).size:
        entries[outside] = _sent(entries[outside], height, bits, keys)
    return entries.astype(np.int32)


def _sent(
    numbers: UInt32[np.ndarray, " n"], height: int, bits: int, keys: UInt32[np.ndarray, "rounds 2"]
) -> UInt32[np.ndarray, " n"]:
    """Where the cells of these numbers go."""
    shift, mask, rows = np.uint32(bits), np.uint32(2**bits - 1), np.uint32(height)
    row, column = numbers >> shift, numbers & mask
    for down, along in keys:
        # The high word of a product spreads the hash over the rows without a division.
        steps = (_hashed(column, down).astype(np.uint64) * np.uint64(height)) >> np.uint64(32)
        row += steps.astype(np.uint32)
        row = np.minimum(row, row - rows)  # unsigned: what has not gone round wraps to the top
        column = (column + (_hashed(row, along) >> np.uint32(16))) & mask
    return (row << shift) | column


def _hashed(numbers: UInt32[np.ndarray, " n"], key: np.uint32) -> UInt32[np.ndarray, " n"]:
    """A hash whose upper bits are mixed; with the constants of MurmurHash3."""
    mixed = (numbers ^ key) * np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(16)
    return mixed * np.uint32(0xC2B2AE35)
