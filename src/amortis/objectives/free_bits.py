"""`FreeBits`: a divergence from the prior that costs nothing up to a number of nats."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import require_positive
from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.families import DiagonalNormal, Mixture
from amortis.guide import Guide, Noise, SiteLayout
from amortis.model import LatentModel
from amortis.objectives.beside_elbo import AbstractBesideElbo
from amortis.objectives.gradients import AbstractGradient, Drawn
from amortis.objectives.interface import AbstractObjective
from amortis.objectives.local_priors import local_priors, require_local_priors
from amortis.objectives.loss import NegativeElbo

_ALL = ""
"""The group of all locals together; no site has an empty name."""


class FreeBits(AbstractObjective):
    r"""$E_q[\log p(x\mid z,\theta)] - N\sum_g\max(\lambda, \frac1B\sum_{n\in B} KL_{ng})$.

    $KL_{ng}$ is the divergence of datum n's factor of group g from its prior, the groups are the
    local sites (all locals together where the factor ties them), and the mean is over the
    minibatch. A group below $\lambda$ gains nothing by saying less, so that no group collapses
    before the decoder has learned to read it. Globals enter as in the ELBO.

    What is maximised is no bound where a group is below $\lambda$; `fit.elbo` is the ELBO as
    always. Take `AnnealedKL` for a fit whose optimum is that of the ELBO.

    Attributes:
        nats: $\lambda$, of each group, in nats per datum.

    Raises:
        ArgumentError: nats that are not positive; for the model, that it does not tell the locals'
            prior apart; or a `Mixture` of globals.

    References:
        Kingma et al., *Improved variational inference with inverse autoregressive flow* (2016),
        appendix C.8.
    """

    nats: float = eqx.field(static=True, default=0.5)

    def __check_init__(self) -> None:
        require_positive("FreeBits", "nats", self.nats)

    @property
    def is_start(self) -> bool:
        return False

    @property
    def draws_stay(self) -> bool:
        return False

    @property
    def ends_at_elbo(self) -> bool:
        return False

    def loss(self, model: LatentModel, guide: Guide, gradient: AbstractGradient) -> "FreeBitsLoss":
        require_local_priors("FreeBits(...)", model, guide)
        if isinstance(guide.global_family, Mixture):
            raise ArgumentError(
                "objective is FreeBits(...), but draws of the globals' Mixture(...) jump between "
                "its components; expected another family: leave the objective out"
            )
        return FreeBitsLoss(NegativeElbo(model, guide, gradient), self.nats)


class FreeBitsLoss(AbstractBesideElbo):
    """Minus the objective of `FreeBits` per datum; see `NegativeElbo` for the protocol.

    Attributes:
        elbo: the loss of the ELBO, for what the two share.
        nats: that each group has for nothing.
    """

    elbo: NegativeElbo
    nats: float = eqx.field(static=True)

    def fixed_noise(self, key: RandomKey, draws: int) -> Noise:
        """Refused: the largest of two is not a sum over draws."""
        raise ArgumentError(
            "FixedDraws(...) is for sums over draws, but FreeBits(...) bounds a mean over all of "
            "them; expected FreshDraws(): leave the optimiser out"
        )

    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Noise:
        """Independent noise."""
        return self.elbo.fresh_noise(key, draws, rows)

    def value(self, parameters: Parameters, noise: Noise, index: RowIndex | None) -> Scalar:
        """Minus the objective in nats per datum."""
        return self._of(parameters, noise, index, self.guide.fitted_raw(parameters, index))

    def shared(self, parameters: Parameters) -> Parameters:
        """The globals' parameters, and the raw parameters of every row's factor."""
        return self.elbo.shared(parameters)

    def value_of(self, shared: Parameters, noise: Noise) -> Scalar:
        """The same as `value` for all rows, of what `shared` has made of the parameters."""
        return self._of(shared, noise, None, shared["raw"][-1])

    def _of(
        self,
        parameters: Parameters,
        noise: Noise,
        index: RowIndex | None,
        raw: Float[Array, "batch raw"],
    ) -> Scalar:
        model, guide, family = self.model, self.guide, self.guide.global_family
        rows = model.data if index is None else model.rows(index)

        def one(noise: Noise) -> tuple[Scalar, dict[str, Scalar]]:
            drawn = Drawn(noise, *family.draw(parameters["globals"], jnp.asarray(noise.theta)))
            theta = guide.theta.split(drawn.theta)
            z = guide.locals_at(parameters, raw, drawn.theta, noise)
            terms = model.log_terms(theta, z, rows)
            priors = dict(local_priors(terms))
            of_globals, entropies = self._entropies(parameters, raw, drawn, theta, z)
            log_det = terms.log_det if family.is_density else 0.0
            whole = sum(priors.values(), jnp.zeros_like(terms.local))
            apart = (terms.prior + log_det + of_globals) / self.size
            if _ALL in entropies:
                priors = {_ALL: whole}
            kl = {name: -jnp.mean(priors[name] + entropies[name]) for name in entropies}
            return apart + jnp.mean(terms.local - whole), kl

        weight = jnp.asarray(noise.weight)
        fits, divergences = jax.vmap(one)(noise)
        floor = jnp.asarray(self.nats, raw.dtype)
        cost = [jnp.maximum(floor, jnp.vdot(weight, kl)) for kl in divergences.values()]
        return sum(cost, -jnp.vdot(weight, fits))

    def _entropies(
        self,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        drawn: Drawn,
        theta: dict[str, Array],
        z: dict[str, Array],
    ) -> tuple[Scalar, dict[str, Float[Array, " batch"]]]:
        """Entropy of the globals, and of the rows' factors by group."""
        guide, gradient = self.guide, self.elbo.gradient
        of_globals, of_rows = gradient.entropy(guide, parameters, raw, drawn, theta, z)
        if len(z) == 1 or not isinstance(guide.local_family, DiagonalNormal):
            return of_globals, {_ALL: of_rows}
        # Coordinates are independent: a group's own factor has its part of the raw parameters.
        parts = [guide.z.split(part) for part in jnp.split(raw, 2, axis=1)]
        noises = guide.z.split(jnp.asarray(drawn.noise.z))
        found: dict[str, Float[Array, " batch"]] = {}
        for name, value in z.items():
            mean, log_sd, noise = (
                jnp.reshape(part[name], (part[name].shape[0], -1)) for part in (*parts, noises)
            )
            own = drawn._replace(noise=Noise(drawn.noise.theta, noise, drawn.noise.weight))
            alone = dataclasses.replace(guide, z=SiteLayout({name: guide.z.shapes[name]}))
            given = jnp.concatenate([mean, log_sd], axis=1)
            values = {name: value}
            found[name] = gradient.entropy(alone, parameters, given, own, theta, values)[1]
        return of_globals, found
