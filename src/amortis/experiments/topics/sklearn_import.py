"""The one door to scikit-learn's topic model, which is optional."""

from typing import Any

from amortis._errors import MissingDependencyError


def latent_dirichlet_allocation() -> Any:
    """Import the class; it is not typed here, as it may be missing.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.decomposition import LatentDirichletAllocation  # pyright: ignore
    except ImportError as error:
        raise MissingDependencyError(
            "the topic models are held against scikit-learn, which is not installed; expected the "
            'examples extra: run pip install "amortis[examples]"'
        ) from error
    return LatentDirichletAllocation
