"""Where iterated functions begin."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis.inference_functions.iterated import RowProblem


class FromPrior(eqx.Module):
    r"""$\lambda_0$ is each row's prior, $q(z_n;\lambda_0) = p(z_n\mid\hat\theta)$.

    The normal with the prior's means and sds, site by site, with the globals at the middle of their
    factor and sites that depend on others at the means of these. It moves with the globals, and is
    held while the model is trained. For models from `from_numpyro` whose local latents are real.
    """


def first_iterate(
    offset: Float[Array, " raw"], rows: int, start: object, problem: RowProblem
) -> Float[Array, "rows raw"]:
    """The prior where that is asked for, else the factor that the guide starts at.

    Args:
        offset: that factor.
        rows: number of rows.
        start: the choice.
        problem: of the rows.
    """
    if isinstance(start, FromPrior):
        return jax.lax.stop_gradient(problem.prior())
    return jnp.broadcast_to(offset, (rows, offset.shape[0]))
