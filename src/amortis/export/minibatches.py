"""Models that are handed minibatches as arguments, while their plate says the full size."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from numpyro.primitives import Messenger

from amortis.model.arguments import read_arguments
from amortis.model.numpyro_sites import inspect_model


def as_whole(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[..., Any]:
    """The model as of the rows at hand, where these are a batch of the rows that its plate counts.

    With `plate("rows", N, subsample_size=x.shape[0])` and an x of fewer than N rows the data of
    the other units are not there to bind the model to. Their terms look like those that are.

    Args:
        function: the user's model.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Returns:
        The model; where it subsamples a plate whose rows are not all in its arguments, with that
        plate as long as its subsample.
    """
    arguments = read_arguments(function, args, kwargs)
    template, _, arrays = arguments.split(None)
    lengths = set(arguments.lengths().values())
    plates = inspect_model(lambda: template.call((), arrays)).plates
    partial = {n for n, (size, batch) in plates.items() if batch < size and size not in lengths}
    if not partial:
        return function

    @functools.wraps(function)  # names of arguments are read from the signature
    def whole(*args: Any, **kwargs: Any) -> Any:
        with _Shortened(partial):
            return function(*args, **kwargs)

    return whole


class _Shortened(Messenger):
    """Makes plates as long as their subsamples, and takes the weight N/B from their sites."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._sizes: dict[str, int] = {}
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "plate" and msg["name"] in self._names:
            self._sizes[msg["name"]], batch = msg["args"]
            msg["args"], msg["value"] = (batch, batch), jnp.arange(batch)
        if msg["type"] == "sample" and msg["scale"] is not None:
            for frame in msg["cond_indep_stack"]:
                msg["scale"] *= frame.size / self._sizes.get(frame.name, frame.size)
