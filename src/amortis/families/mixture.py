"""`Mixture`: several normals, for posteriors with several modes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float, Int

from amortis._require import require_count
from amortis.families.framed import Framed
from amortis.families.full_rank import FullRank, full_rank_parts
from amortis.families.interface import AbstractAffineFamily, AbstractFamily

_GAUSSIAN = FullRank()
_START_SD, _START_SPREAD = 0.7, 0.7


class Mixture(AbstractAffineFamily):
    r"""$q(u) = \sum_k w_k N(u; m_k, L_kL_k^\top)$ with full covariances.

    Raw parameters are the log weights, up to a constant, and those of each `FullRank` component.
    In the ELBO the components are summed over, $E_q[f] = \sum_k w_k E_k[f]$, so that gradients
    reach the weights; there is no closed form of the entropy, which is $-E_q[\log q]$ by draws.

    A fit begins at the modes that climbs from several points lead to, weighted by their Laplace
    masses. Of a single mode the components share a mean-field fit: they bend around what is skewed.
    With locals, or more than 100 globals, that is the start as well.

    The noise of a draw chooses the component too: of $\Phi(\epsilon_1)$ the place among the
    cumulated weights says which, and the place within the component's share is uniform again.

    Attributes:
        components: number of components, at least one.

    References:
        Jaakkola & Jordan, *Improving the mean field approximation via the use of mixture
        distributions* (1998); Morningstar et al., *Automatic differentiation variational inference
        with mixtures* (2021) for the sum over components.
    """

    components: int = eqx.field(static=True, default=2)

    def __check_init__(self) -> None:
        require_count("Mixture", "components", self.components)

    @property
    def is_density(self) -> bool:
        return True

    @property
    def is_factorized(self) -> bool:
        return False

    @property
    def is_identified(self) -> bool:
        return False  # components may change places

    def raw_size(self, dimension: int) -> int:
        return self.components * (1 + _GAUSSIAN.raw_size(dimension))

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        # Components that start alike stay alike: they stand around the mean, in units of the sd.
        raw = np.zeros((self.components, _GAUSSIAN.raw_size(dimension)))
        raw[:, dimension : 2 * dimension] = log_sd + np.log(_START_SD)
        around = np.random.default_rng(0).standard_normal((self.components, dimension))
        around -= around.mean(axis=0)
        raw[:, :dimension] += _START_SPREAD * np.exp(log_sd) * around
        flat = np.concatenate([np.zeros(self.components), raw.ravel()])
        return jax.device_put(flat.astype(jnp.result_type(float)))

    def of(self, weights: Float[Array, " k"], each: Float[Array, "k one"]) -> Float[Array, " raw"]:
        """Raw parameters of a mixture.

        Args:
            weights: of the components, positive.
            each: raw parameters of each, as of `FullRank`.
        """
        return jnp.concatenate([jnp.log(weights), each.ravel()])

    def log_weights(self, raw: Float[Array, " raw"]) -> Float[Array, " k"]:
        """Logarithms of the weights, which sum to one."""
        return jax.nn.log_softmax(raw[: self.components])

    def component_means(self, raw: Float[Array, " raw"]) -> Float[Array, "k d"]:
        """The mean of each component."""
        return jax.vmap(full_rank_parts)(self._each(raw))[0]

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        if noise.shape[0] == 0:
            return noise
        ends = jnp.cumsum(jnp.exp(self.log_weights(raw)))
        place = jnp.clip(ndtr(noise[0]), 1e-7, 1.0 - 1e-7)
        component = jnp.minimum(jnp.searchsorted(ends, place), self.components - 1)
        begin = jnp.where(component > 0, ends[component - 1], 0.0)
        inside = (place - begin) / jnp.maximum(ends[component] - begin, 1e-30)
        first = ndtri(jnp.clip(inside, 1e-7, 1.0 - 1e-7))
        return _GAUSSIAN.sample(self._each(raw)[component], noise.at[0].set(first))

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        r"""$L^{-1}(u - m)$ by mean and covariance $LL^\top$ of the whole mixture."""
        weights = jnp.exp(self.log_weights(raw))
        means, roots = jax.vmap(full_rank_parts)(self._each(raw))
        mean = weights @ means
        apart = means - mean
        every = roots @ jnp.swapaxes(roots, 1, 2) + apart[:, :, None] * apart[:, None, :]
        root = jnp.linalg.cholesky(jnp.tensordot(weights, every, axes=1))
        return solve_triangular(root, value - mean, lower=True)

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        value = self.sample(raw, noise)
        return value, -self.log_density(raw, value)

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        each = jax.vmap(lambda one: _GAUSSIAN.log_density(one, value))(self._each(raw))
        return jax.nn.logsumexp(self.log_weights(raw) + each)

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        weights = jnp.exp(self.log_weights(raw))
        means, sds = jax.vmap(_GAUSSIAN.moments)(self._each(raw))
        mean = weights @ means
        return mean, jnp.sqrt(weights @ (jnp.square(sds) + jnp.square(means - mean)))

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        each = jax.vmap(_GAUSSIAN.coordinates)(self._each(raw))
        return jnp.concatenate([raw[: self.components], each.ravel()])

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        each = jax.vmap(_GAUSSIAN.from_coordinates)(self._each(coordinates))
        return jnp.concatenate([coordinates[: self.components], each.ravel()])

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        """Each component's step as if it were alone, and the gradient of the log weights."""
        each = jax.vmap(_GAUSSIAN.natural_step)(self._each(raw), self._each(gradient))
        return jnp.concatenate([gradient[: self.components], each.ravel()])

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        shifts, changes = jax.vmap(_GAUSSIAN.unsettled)(
            self._each(coordinates), self._each(gradient)
        )
        return jnp.max(shifts), jnp.max(changes)

    def gaussian(self, mean: Float[Array, " d"], root: Float[Array, "d d"]) -> Float[Array, " raw"]:
        one = _GAUSSIAN.gaussian(mean, root)
        return self.of(jnp.ones(self.components), jnp.tile(one, (self.components, 1)))

    def mapped(
        self, raw: Float[Array, " raw"], shift: Float[Array, " d"], root: Float[Array, "d d"]
    ) -> Float[Array, " raw"]:
        each = jax.vmap(lambda one: _GAUSSIAN.mapped(one, shift, root))(self._each(raw))
        return jnp.concatenate([raw[: self.components], each.ravel()])

    def _each(self, raw: Float[Array, " raw"]) -> Float[Array, "k one"]:
        return raw[self.components :].reshape(self.components, -1)


def components_of(family: AbstractFamily) -> int:
    """Number of components that an expectation under a family is summed over."""
    if isinstance(family, Framed):
        return components_of(family.inner)
    return family.components if isinstance(family, Mixture) else 1


def component_draws(
    family: AbstractFamily, raw: Float[Array, " raw"], noise: Float[Array, " d"]
) -> tuple[Float[Array, " k"], Float[Array, "k d"], Float[Array, " k"]]:
    r"""The same noise as a draw of every component, for $E_q[f] = \sum_k w_k E_k[f]$.

    Args:
        family: a `Mixture`, in a frame or not.
        raw: its raw parameters.
        noise: standard normal noise of one draw.

    Returns:
        Weights, draws, and $-\log q$ of the whole mixture at each.
    """
    count = components_of(family)
    weights = jnp.exp(jax.nn.log_softmax(raw[:count]))

    def one(component: Int[Array, ""]) -> tuple[Array, Array]:
        # With all weight on one component every noise is its own.
        alone = raw.at[:count].set(jnp.where(jnp.arange(count) == component, 0.0, -jnp.inf))
        value = family.sample(alone, noise)
        return value, -family.log_density(raw, value)

    values, entropies = jax.vmap(one)(jnp.arange(count))
    return weights, values, entropies
