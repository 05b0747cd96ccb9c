"""Checking: the verb `check`, which hands a user's model to `structure` and returns its verdict."""

from amortis.checking.check import check

__all__ = ["check"]
