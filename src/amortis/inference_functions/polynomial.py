"""`Polynomial`: a polynomial in the context, in a Hermite basis."""

import itertools
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_count
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.interface import AbstractRowFunction, FunctionShape

_MOST_TERMS = 20_000


class Polynomial(AbstractRowFunction):
    r"""All monomials of total degree at most `degree` in the standardized context.

    $f_\phi(w) = \sum_{|\alpha|\le d} \phi_\alpha \prod_j He_{\alpha_j}(w_j)/\sqrt{\alpha_j!}$ with
    probabilists' Hermite polynomials, which are orthonormal for a standard normal context: the same
    functions as in powers of w, better conditioned. Every raw parameter (mean and log sd) is such a
    polynomial. Degree 1 is exact for linear-Gaussian models.

    Attributes:
        degree: highest total degree, at least one (`Constant` is degree zero).

    Raises:
        ArgumentError: a degree below one, or more than 20 000 terms.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), §5.1.
    """

    degree: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        require_count("Polynomial", "degree", self.degree, "use Constant() for degree zero")

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return True

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        terms = math.comb(shape.columns + self.degree, self.degree)
        if terms > _MOST_TERMS:
            raise ArgumentError(
                f"Polynomial(degree={self.degree}) of {shape.columns} columns has {terms} terms; "
                f"expected at most {_MOST_TERMS}: lower the degree or use MLP()"
            )
        return numerics.on_device(numerics.zeros(key, terms, shape.outputs))

    def __call__(
        self,
        parameters: Parameters,
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        if self.degree == 1:
            # The same numbers as below without copying the context beside a column of ones.
            return parameters[0] + context @ parameters[1:]
        return _hermite_features(context, self.degree) @ parameters


def _hermite_features(
    context: Float[Array, "batch columns"], degree: int
) -> Float[Array, "batch terms"]:
    columns = context.shape[1]
    # He_{n+1}(w) = w He_n(w) - n He_{n-1}(w), normalized by sqrt(n!).
    powers = [jnp.ones_like(context), context]
    for n in range(1, degree):
        following = (context * powers[n] - math.sqrt(n) * powers[n - 1]) / math.sqrt(n + 1)
        powers.append(following)
    features = [jnp.ones(context.shape[0], context.dtype)]
    for total in range(1, degree + 1):
        for chosen in itertools.combinations_with_replacement(range(columns), total):
            counts = {j: chosen.count(j) for j in set(chosen)}
            features.append(math.prod(powers[n][:, j] for j, n in sorted(counts.items())))  # pyright: ignore
    return jnp.stack(features, axis=1)
