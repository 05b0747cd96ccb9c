"""`BoundCall`: the user's model with its data in place, for what only running it can tell."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class BoundCall:
    """One call of a model on all of its data.

    Attributes:
        run: calls the model; its plates hold all of their indices, in order. None where the model
            is not a program that could draw data.
        arguments: what the call hands over, by name: arrays and plain values.
        lengths: numbers of entries that may lie on the first axis of an observed site.
    """

    run: Callable[[], Any] | None
    arguments: Mapping[str, Any]
    lengths: tuple[int, ...]
