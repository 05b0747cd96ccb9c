"""`Fit`: the frozen record of a fit, and what can be asked of it without optimising again."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._require import require_callable, require_count, require_key
from amortis._types import Parameters, RandomKey
from amortis.fitting.capacity_record import Capacity
from amortis.fitting.draws import BLOCK_NUMBERS, Fitted, constrained, independent, over_draws
from amortis.fitting.estimate import Estimate
from amortis.fitting.linear_response import linear_response, of_constrained
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.objectives import SemiAmortized, StickTheLanding, elbo_draws, first_draws
from amortis.optimise import History, Status

_MOMENT_POINTS = 512


class Fit(eqx.Module):
    r"""A fitted $q(\theta)\prod_n q(z_n; f(x_n))$.

    Attributes:
        model: the model bound to its data.
        guide: the guide.
        variational: the guide's fitted parameters.
        status: how the optimisation ended.
        history: the objective over time, as the optimiser saw it.
        held: whether $q(\theta)$ comes from other data than the model's, as after `infer`.
        capacity: the sizes of inference function that were tried, where a tolerance was asked for.
        objective: what was maximised in place of the ELBO; after `SemiAmortized()` the function's
            outputs are starts, and `refine` takes the steps that they were made for.
        found: what an approximation such as `Pathfinder()` found on its way; None otherwise.
    """

    model: LatentModel
    guide: Guide
    variational: Parameters
    status: Status = eqx.field(static=True)
    history: History = eqx.field(static=True)
    held: bool = eqx.field(static=True, default=False)
    capacity: Capacity | None = eqx.field(static=True, default=None)
    objective: SemiAmortized | None = eqx.field(static=True, default=None)
    found: Any = None

    @property
    def parameters(self) -> int:
        """Number of variational parameters, of globals and inference function together."""
        return sum(int(leaf.size) for leaf in jax.tree.leaves(self.variational))

    def elbo(self, *, key: RandomKey, draws: int = 64) -> Estimate:
        r"""The evidence lower bound on fresh draws, in nats, total.

        Averages $\log p(x, z, \theta) - \log q(z, \theta)$, which varies little where q is close to
        the posterior (and not at all where it is exact). The standard error is that of the mean
        of antithetic pairs, so it is honest about the draws being paired. With
        `Point()` globals this is the bound on
        $\log p(x, \hat\theta)$ with the prior on the constrained scale.

        Args:
            key: random key.
            draws: number of draws, at least one; an odd number is rounded up to pairs.

        Returns:
            The estimate; its standard error is NaN for fewer than two pairs.

        Raises:
            ArgumentError: draws below one.
        """
        every = self.elbo_pairs(key=key, draws=draws)
        pairs = len(every)
        se = float(every.std(ddof=1) / math.sqrt(pairs)) if pairs > 1 else math.nan
        return Estimate(float(every.mean()), se)

    def elbo_pairs(self, *, key: RandomKey, draws: int = 64) -> Float[np.ndarray, " pairs"]:
        """The values that `elbo` averages: one for each antithetic pair, in nats, total.

        Fits of one model see the same noise under the same key, so that their pairs can be
        subtracted.

        Args:
            key: random key.
            draws: number of draws, at least one; an odd number is rounded up to pairs.

        Raises:
            ArgumentError: draws below one.
        """
        require_key(key)
        require_count("number of", "draws", draws, "ask for more")
        pairs = (int(draws) + 1) // 2
        per_block = max(BLOCK_NUMBERS // (2 * self.arrays.numbers_per_draw), 1)
        values: list[np.ndarray] = []
        for i, start in enumerate(range(0, pairs, per_block)):
            count = min(per_block, pairs - start)
            block_key = jax.random.fold_in(key, i)
            values.append(np.asarray(_pair_elbos(self.arrays, block_key, count), np.float64))
        return np.concatenate(values)

    def posterior(self, *, key: RandomKey, draws: int = 1000) -> dict[str, np.ndarray]:
        """Draws of all latents on the constrained scale, and of the model's deterministic sites.

        Args:
            key: random key.
            draws: number of draws, at least one.

        Returns:
            By site, shape (draws, *shape of the site in the model).

        Raises:
            ArgumentError: draws below one.
        """
        require_key(key)
        require_count("number of", "draws", draws, "ask for more")
        return over_draws(self.arrays, constrained, key, draws)

    def moments(self) -> dict[str, tuple[Array, Array]]:
        """Means and standard deviations of all latents on the constrained scale.

        Exact for sites on the real line. Elsewhere the Gaussian is pushed through the bijection by
        a deterministic rule of 512 points (Sobol's points, antithetic and whitened), so that no
        random key is needed. Sds of deterministic sites that combine units are good to a few per
        cent.

        Returns:
            By site, (mean, sd), each of the site's shape in the model; sds of point estimates are
            zero.
        """
        guide = self.guide
        rule = numerics.low_discrepancy(
            _MOMENT_POINTS, guide.z.dimension + guide.theta.dimension
        ).astype(jnp.result_type(float))
        found = self._moments(rule, np.zeros(self.model.size, int))
        mixing = [name for name, (mean, _) in found.items() if self._may_mix(name, mean.shape)]
        if mixing:
            # Their units' points must not come in the same order, or units would seem correlated.
            generator = np.random.default_rng(0)
            half = rule[: _MOMENT_POINTS // 2][generator.permutation(_MOMENT_POINTS // 2)]
            shift = generator.integers(0, _MOMENT_POINTS // 2, self.model.size)
            again = self._moments(np.concatenate([half, -half]), shift)
            found |= {name: again[name] for name in mixing}
        return found

    def _may_mix(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether a site may combine several units: a deterministic one that has no unit axis."""
        if name in self.model.globals_ or name in self.model.locals_:
            return False
        return not (self.model.separable and self.model.size in shape)

    def _moments(self, rule: np.ndarray, shift: np.ndarray) -> dict[str, tuple[Array, Array]]:
        per_block = _whole_fraction(BLOCK_NUMBERS // self.arrays.numbers_per_draw)
        parts = [
            _sums(
                self.arrays,
                jnp.asarray(rule),
                jnp.asarray(shift),
                jnp.arange(start, start + per_block),
            )
            for start in range(0, _MOMENT_POINTS, per_block)
        ]
        return {name: _combined([part[name] for part in parts]) for name in parts[0]}

    def local_moments(self) -> tuple[Float[Array, "rows d"], Float[Array, "rows d"]]:
        """Means and standard deviations of the unconstrained locals, sites laid end to end.

        Returns:
            Two matrices with one row per datum; exact.
        """
        return _local_moments(self.arrays)

    def global_moments(self) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        """Means and standard deviations of the unconstrained globals, sites laid end to end.

        Returns:
            Two vectors; exact.
        """
        return self.guide.global_moments(self.variational)

    def covariance(
        self, function: Callable[[Mapping[str, Array]], Any] | None = None
    ) -> Float[np.ndarray, "k k"]:
        r"""The linear response covariance of a function of the latents.

        $\nabla E_q[f]\, H^{-1}\,\nabla E_q[f]^\top$ with H the Hessian of minus the ELBO: how the
        means answer when the log joint is tilted by f, which of the exact posterior is the
        covariance of f. Exact for Gaussian posteriors, whatever q leaves out: the honest sds of a
        mean-field fit are the roots of the diagonal.

        Args:
            function: maps the values of one draw, constrained, by site (deterministic sites too) to
                an array or a pytree of arrays, read as one vector; by default all globals on their
                own scale, end to end.

        Returns:
            The covariance, shape (k, k), in double precision.

        Raises:
            NotAnOptimumError: the fit is at no optimum.
            ArgumentError: units that touch each other and are too many for one dense Hessian, or a
                `Flow`, whose parameters are not identified.

        References:
            Giordano, Broderick & Jordan, *Covariances, robustness, and variational Bayes* (2018).

        Example:
            >>> import jax, numpyro, numpyro.distributions as dist, amortis
            >>> def model(x):
            ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
            ...     with numpyro.plate("rows", x.shape[0]):
            ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
            ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
            >>> x = jax.numpy.linspace(-3.0, 3.0, 50)
            >>> fitted = amortis.fit(amortis.from_numpyro(model, x), key=jax.random.key(0))
            >>> sd = fitted.covariance()[0, 0] ** 0.5  # sqrt(5 / 50), beside q's 2 / sqrt(50)
            >>> round(sd, 2)
            0.32
        """
        if function is not None:
            require_callable("function", function)
        return linear_response(self.arrays, self.fixed_draws, of_constrained(self.arrays, function))

    @property
    def fixed_draws(self) -> int:
        """Fixed draws of expectations: those on which the fit ended, or those to start with."""
        least = first_draws(self.guide, self.model.coupled)
        return max(int(self.history.draws[-1]) // 4 * 4, least)

    def __repr__(self) -> str:
        function = type(self.guide.inference).__name__
        return (
            f"Fit({function} with {self.parameters} parameters, {self.model.size} rows, "
            f"{self.status.name})"
        )

    @property
    def arrays(self) -> Fitted:
        """The parts that enter compiled functions."""
        return Fitted(self.model, self.guide, self.variational)


def _whole_fraction(most: int) -> int:
    """The largest power of two up to `most` and the number of points, so that blocks are equal."""
    return min(_MOMENT_POINTS, 2 ** int(math.log2(max(most, 1))))


@eqx.filter_jit
def _pair_elbos(fitted: Fitted, key: RandomKey, pairs: int) -> Float[Array, " pairs"]:
    first = independent(fitted, key, pairs)
    both = jax.tree.map(lambda leaf: jnp.concatenate([leaf, -leaf]), first)
    values = elbo_draws(
        fitted.model, fitted.guide, StickTheLanding(), fitted.variational, both, None
    )
    return 0.5 * (values[:pairs] + values[pairs:])


def _constrained(fitted: Fitted, noise: Noise) -> dict[str, Array]:
    model, guide, variational = fitted.model, fitted.guide, fitted.variational
    raw = guide.fitted_raw(variational, None)

    def one(noise: Noise) -> dict[str, Any]:
        theta, z = guide.sample(variational, raw, noise)
        return dict(model.constrain(theta, z))

    return jax.vmap(one)(noise)


@eqx.filter_jit
def _sums(
    fitted: Fitted, rule: Array, shift: Array, place: Array
) -> dict[str, tuple[Array, Array, Array]]:
    """Sums, sums of squares about the block's own mean, and that mean, over points of a rule.

    Args:
        fitted: the fit.
        rule: the whole rule, locals first; its second half mirrors the first.
        shift: how far each row's points are shifted within the first half.
        place: the block's places in the rule.
    """
    d_z, half = fitted.guide.z.dimension, rule.shape[0] // 2
    sign = jnp.where(place < half, 1.0, -1.0).astype(rule.dtype)
    order = (place[:, None] + shift[None, :]) % half
    noise = Noise.equal(rule[place, d_z:], sign[:, None, None] * rule[order, :d_z])
    values = _constrained(fitted, noise)
    return {
        name: (
            jnp.sum(value, axis=0),
            jnp.sum(jnp.square(value - jnp.mean(value, axis=0)), axis=0),
            jnp.mean(value, axis=0),
        )
        for name, value in values.items()
    }


def _combined(parts: list[tuple[Array, Array, Array]]) -> tuple[Array, Array]:
    """Mean and sd from the sums of equal blocks, without the cancellation of E[v^2] - E[v]^2."""
    total, within, means = (jnp.stack(column) for column in zip(*parts, strict=True))
    mean = jnp.sum(total, axis=0) / _MOMENT_POINTS
    between = _MOMENT_POINTS / len(parts) * jnp.square(means - mean)
    return mean, jnp.sqrt(jnp.sum(within + between, axis=0) / _MOMENT_POINTS)


@eqx.filter_jit
def _local_moments(fitted: Fitted) -> tuple[Array, Array]:
    raw = fitted.guide.fitted_raw(fitted.variational, None)
    return jax.vmap(fitted.guide.local_family.moments)(raw)
