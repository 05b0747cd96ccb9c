"""The one door to BlackJAX, which is optional."""

from typing import Any

from amortis._errors import MissingDependencyError


def blackjax_library() -> Any:
    """Import BlackJAX when it is first asked for.

    Returns:
        The module `blackjax`; it is not typed here, as it may be missing.

    Raises:
        MissingDependencyError: BlackJAX is not installed.
    """
    try:
        import blackjax
    except ImportError as error:
        raise MissingDependencyError(
            "Pathfinder needs BlackJAX, which is not installed; expected the pathfinder extra: run "
            'pip install "amortis[pathfinder]"'
        ) from error
    return blackjax
