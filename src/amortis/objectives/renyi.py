r"""Rényi's bounds, from the ELBO ($\alpha = 1$) to the importance-weighted one ($\alpha = 0$)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import require_count, shown
from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.families import Mixture
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.numerics import tree_sum
from amortis.objectives.beside_elbo import AbstractBesideElbo
from amortis.objectives.gradients import AbstractGradient
from amortis.objectives.interface import AbstractObjective
from amortis.objectives.loss import NegativeElbo


class Renyi(AbstractObjective):
    r"""$\mathcal{L}_\alpha = \frac{1}{1-\alpha}E\log\frac1K\sum_k w_k^{1-\alpha}$ with K draws.

    $w = p(x, \theta)/q(\theta)$. With $\alpha = 0$ it is the importance-weighted bound, with
    $\alpha\to1$ the ELBO; below one it prefers a q that covers the posterior, the more so the
    smaller $\alpha$ and the larger K. Negative $\alpha$, which would bound the evidence from above
    for $K\to\infty$, is refused: with finitely many draws its weights have such tails that searches
    ended anywhere. K draws leave a bias towards the ELBO that K takes away slowly.

    Where rows have latents, the sum is within each row, given one draw of the globals:
    $E_{q(\theta)}[\log p(\theta) - \log q(\theta) + \sum_n\frac{1}{1-\alpha}\log\frac1K\sum_k
    w_{nk}^{1-\alpha}]$, $w_{nk} = p(x_n, z_{nk}\mid\theta)/q(z_{nk})$: weights of all rows together
    would be those of the one best draw.

    Noise of gradients: without locals the estimate is doubly reparameterized,
    $\sum_k(\alpha\bar w_k + (1-\alpha)\bar w_k^2)\,\partial_z\log w_k\,\partial_\phi z_k$ with
    normalized weights, whose signal does not drown as K grows; else the total derivative.

    Attributes:
        alpha: the order, from zero on, but not one, for which leave the objective out.
        draws: K, at least two.

    References:
        Li & Turner, *Rényi divergence variational inference* (2016); Burda, Grosse & Salakhutdinov,
        *Importance weighted autoencoders* (2016); Tucker et al., *Doubly reparameterized gradient
        estimators* (2019), whose estimator is extended to $\alpha$ here.
    """

    alpha: float = eqx.field(static=True, default=0.5)
    draws: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        _require_draws("Renyi", self.draws)
        given: Any = self.alpha
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not 0.0 <= self.alpha < np.inf or self.alpha == 1.0:
            raise ArgumentError(
                f"Renyi alpha is {shown(self.alpha)}; expected a number from 0 on, other than 1: "
                f"for the ELBO leave the objective out"
            )

    @property
    def is_start(self) -> bool:
        return False

    @property
    def draws_stay(self) -> bool:
        return False

    @property
    def ends_at_elbo(self) -> bool:
        return False

    def loss(self, model: LatentModel, guide: Guide, gradient: AbstractGradient) -> "RenyiLoss":
        return _loss(model, guide, gradient, self.alpha, self.draws)


class ImportanceWeighted(AbstractObjective):
    r"""The importance-weighted bound $E\log\frac1K\sum_k w_k$; see `Renyi`, of which it is one.

    Attributes:
        draws: K, at least two.

    References:
        Burda, Grosse & Salakhutdinov, *Importance weighted autoencoders* (2016).
    """

    draws: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        _require_draws("ImportanceWeighted", self.draws)

    @property
    def is_start(self) -> bool:
        return False

    @property
    def draws_stay(self) -> bool:
        return False

    @property
    def ends_at_elbo(self) -> bool:
        return False

    def loss(self, model: LatentModel, guide: Guide, gradient: AbstractGradient) -> "RenyiLoss":
        return _loss(model, guide, gradient, 0.0, self.draws)


class RenyiLoss(AbstractBesideElbo):
    """Minus Rényi's bound per datum; see `NegativeElbo` for the protocol.

    Attributes:
        elbo: the loss of the ELBO, for what the two share.
        alpha: the order.
        inner: K.
    """

    elbo: NegativeElbo
    alpha: float = eqx.field(static=True)
    inner: int = eqx.field(static=True)

    def fixed_noise(self, key: RandomKey, draws: int) -> Noise:
        """Refused: groups of draws do not add up."""
        raise ArgumentError(
            f"FixedDraws(...) is for sums over draws, but the objective takes the logarithm of "
            f"{self.inner} together; expected FreshDraws(): leave the optimiser out"
        )

    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Noise:
        """Independent noise, K draws for each of `draws`."""
        theta_key, z_key = jax.random.split(key)
        count, guide = draws * self.inner, self.guide
        return Noise.equal(
            jax.random.normal(theta_key, (count, guide.noise_size)),
            jax.random.normal(z_key, (count, rows, guide.z.dimension)),
        )

    def value(self, parameters: Parameters, noise: Noise, index: RowIndex | None) -> Scalar:
        """Minus the bound in nats per datum."""
        raw = self.guide.fitted_raw(parameters, index)

        def grouped(leaf: Array) -> Array:
            return jnp.reshape(leaf, (leaf.shape[0] // self.inner, self.inner, *leaf.shape[1:]))

        groups = jax.tree.map(lambda leaf: grouped(jnp.asarray(leaf)), noise)
        bound = self._alone if not self.guide.z.dimension else self._by_row
        return -jnp.mean(jax.vmap(lambda g: bound(parameters, raw, g, index))(groups)) / self.size

    def shared(self, parameters: Parameters) -> Parameters:
        """The globals' parameters, and the raw parameters of every row's factor."""
        return self.elbo.shared(parameters)

    def value_of(self, shared: Parameters, noise: Noise) -> Scalar:
        """Refused, as `fixed_noise` is."""
        return self.elbo.value_of(shared, noise)

    def _alone(
        self,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        noise: Noise,
        index: RowIndex | None,
    ) -> Scalar:
        """The bound of globals alone on K draws, with the doubly reparameterized gradient."""
        model, guide = self.model, self.guide
        rows, weight = self._rows(index)
        held = jax.lax.stop_gradient(parameters["globals"])
        z = model.zeros(raw.shape[0])

        def log_weight(epsilon: Float[Array, " d"]) -> Scalar:
            value = guide.global_family.sample(parameters["globals"], epsilon)
            terms = model.log_terms(guide.theta.split(value), z, rows)
            log_q = guide.global_family.log_density(held, value)
            log_det = terms.log_det if guide.global_family.is_density else 0.0
            return terms.prior + log_det + weight * tree_sum(terms.local) - log_q

        log_weights = jax.vmap(log_weight)(jnp.asarray(noise.theta))
        order = 1.0 - self.alpha
        normalized = jax.lax.stop_gradient(jax.nn.softmax(order * log_weights))
        share = self.alpha * normalized + order * jnp.square(normalized)
        slope = jnp.sum(share * log_weights)
        # Its value is the bound, its derivative that of `slope`.
        return slope + jax.lax.stop_gradient(_bound(log_weights, order) - slope)

    def _by_row(
        self,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        noise: Noise,
        index: RowIndex | None,
    ) -> Scalar:
        """The bound of each row on K draws of its latents, given one draw of the globals."""
        model, guide = self.model, self.guide
        rows, weight = self._rows(index)
        first = jnp.asarray(noise.theta)[0]
        theta, entropy = guide.global_family.draw(parameters["globals"], first)
        sites = guide.theta.split(theta)
        given = guide.given(parameters, raw, theta)

        def log_weights(epsilon: Float[Array, "batch d"]) -> Float[Array, " batch"]:
            z = jax.vmap(guide.row_family.sample)(given, epsilon)
            log_q = jax.vmap(guide.row_family.log_density)(given, z)
            return model.log_terms(sites, guide.z.split(z), rows).local - log_q

        each = jax.vmap(log_weights)(jnp.asarray(noise.z))
        by_row = jax.vmap(lambda w: _bound(w, 1.0 - self.alpha), in_axes=1)(each)
        terms = model.log_terms(sites, model.zeros(raw.shape[0]), rows)
        log_det = terms.log_det if guide.global_family.is_density else 0.0
        return terms.prior + log_det + entropy + weight * tree_sum(by_row)

    def _rows(self, index: RowIndex | None) -> tuple[object, float]:
        model = self.model
        if index is None:
            return model.data, 1.0
        return model.rows(index), model.size / index.shape[0]


def _bound(log_weights: Float[Array, " k"], order: float) -> Scalar:
    count = log_weights.shape[0]
    return (jax.nn.logsumexp(order * log_weights) - jnp.log(float(count))) / order


def _require_draws(owner: str, draws: int) -> None:
    require_count(owner, "draws", draws)
    if draws < 2:
        raise ArgumentError(f"{owner} draws is {draws}; expected at least 2: one gives the ELBO")


def _loss(
    model: LatentModel, guide: Guide, gradient: AbstractGradient, alpha: float, draws: int
) -> RenyiLoss:
    if model.coupled or (model.locals_ and not model.separable):
        raise ArgumentError(
            f"the objective weighs draws row by row, but the units of {model.plate!r} cannot be "
            f"evaluated apart; expected a model whose rows can: leave the objective out"
        )
    if isinstance(guide.global_family, Mixture):
        raise ArgumentError(
            "the objective differentiates draws of the globals, and those of Mixture(...) jump "
            "between its components; expected another family: leave the objective out"
        )
    return RenyiLoss(NegativeElbo(model, guide, gradient), alpha, draws)
