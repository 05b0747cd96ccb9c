"""How hard the compiler should try, for functions that run only a few times."""

_MOST_NUMBERS = 200_000


def run_rarely(numbers: int) -> dict[str, bool | int] | None:
    """Options of `jax.jit` for a function that is compiled to run a handful of times.

    Without LLVM's optimizations compiling takes half of the time (of random draws a third), and
    running a few times as long, which pays while there are few numbers.

    Args:
        numbers: that a run goes through, roughly.

    Returns:
        The options; None, which is the compiler's own choice, for many numbers.
    """
    return {"xla_backend_optimization_level": 0} if numbers <= _MOST_NUMBERS else None
