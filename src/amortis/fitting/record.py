"""`Fit`: the frozen record of a fit, and what can be asked of it without optimising again."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError, NotAnOptimumError
from amortis._require import require_callable, require_count, require_key
from amortis._types import Parameters, RandomKey
from amortis.fitting.capacity_record import Capacity
from amortis.fitting.draws import (
    BLOCK_NUMBERS,
    Fitted,
    constrained,
    independent,
    over_draws,
    shared_raw,
)
from amortis.fitting.estimate import Estimate
from amortis.fitting.linear_response import response
from amortis.fitting.moments import local_moments_of, moments_of
from amortis.fitting.responding import of_constrained, spreads_of
from amortis.guide import Guide
from amortis.model import AbstractRebind, LatentModel, parameter_values
from amortis.objectives import AbstractObjective, StickTheLanding, elbo_draws, first_draws
from amortis.optimise import History, Status

_RESPONSE_NUMBERS = 1_000_000
"""Draws times rows times dimensions on which the Hessian of the ELBO is taken."""


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
    objective: AbstractObjective | None = eqx.field(static=True, default=None)
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
        with np.errstate(invalid="ignore"):  # where the density is zero at some draws
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
        raw = shared_raw(self.arrays, pairs > per_block)
        values: list[np.ndarray] = []
        for i, start in enumerate(range(0, pairs, per_block)):
            count = min(per_block, pairs - start)
            block_key = jax.random.fold_in(key, i)
            block = _pair_elbos(self.arrays, block_key, count, raw)
            values.append(np.asarray(block, np.float64))
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
        return moments_of(self.arrays)

    def local_moments(self) -> tuple[Float[Array, "rows d"], Float[Array, "rows d"]]:
        """Means and standard deviations of the unconstrained locals, sites laid end to end.

        Returns:
            Two matrices with one row per datum; exact.
        """
        return local_moments_of(self.arrays)

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
        covariance of f. Exact for linear functions under Gaussian posteriors, whatever q leaves
        out: the honest sds of a mean-field fit are the roots of the diagonal. Elsewhere it is of
        first order: where the posterior is far from Gaussian it may even exceed what the support
        admits, and the weighted sds of `diagnose` are to be preferred where k-hat lets them.

        Args:
            function: maps the values of one draw, constrained, by site (deterministic sites too) to
                an array or a pytree of arrays, read as one vector; by default all globals on their
                own scale, end to end.

        Returns:
            The covariance, shape (k, k), in double precision.

        Raises:
            NotAnOptimumError: the fit is at no optimum of the ELBO: it did not end well, or
                maximised something else.
            ArgumentError: units that touch each other and are too many for one dense Hessian, a
                `Flow`, whose parameters are not identified, or a function that JAX cannot follow or
                that has too many values.

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
        _require_optimum(self)
        of = of_constrained(self.arrays, function)
        found = response(self.arrays, self.fixed_draws, of)
        still = np.diagonal(found) == 0.0
        if still.any() and spreads_of(self.arrays, of)[still].any():
            raise ArgumentError(
                "function returned numbers whose means do not move with q although they differ "
                "from draw to draw; expected a smooth function: for values that jump, as those of "
                "round or where, use fit.posterior(key=key)"
            )
        return found

    @property
    def params(self) -> dict[str, Any]:
        """The estimates of the model's `numpyro.param` sites, in the form that NumPyro has them in.

        Of a network (`eqx_module`, `nnx_module`, `flax_module`) called `decoder`, the entry
        `decoder$params` is the pytree of its weights. Empty where the model has no such sites.
        """
        rebind = self.model.rebind
        sites = rebind.parameters if isinstance(rebind, AbstractRebind) else ()
        if not sites:
            return {}
        return parameter_values(sites, self.guide.theta.split(self.global_moments()[0]))

    @property
    def maximises_elbo(self) -> bool:
        """Whether q is where the ELBO is largest, or was to be."""
        of_elbo = self.objective is None or self.objective.ends_at_elbo
        return of_elbo and not np.isnan(self.history.objective[-1])

    @property
    def fixed_draws(self) -> int:
        """Fixed draws of expectations: those on which the fit ended, or those to start with.

        Fewer where rows are many: the errors of their own draws average.
        """
        least = first_draws(self.guide, self.model.coupled)
        most = _RESPONSE_NUMBERS // self.arrays.numbers_per_draw
        return max(min(int(self.history.draws[-1]), most) // 4 * 4, least)

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


def _require_optimum(fitted: Fit) -> None:
    """Refuse to ask how the optimum of the ELBO moves of a q that is at none."""
    if fitted.held:
        came = "q of the globals comes from other data"
    elif fitted.status not in (Status.CONVERGED, Status.STALLED):
        came = f"the fit ended with {fitted.status.name}"
    elif fitted.objective is not None and not fitted.objective.ends_at_elbo:
        came = f"the fit maximised {type(fitted.objective).__name__}(…)"
    elif not fitted.maximises_elbo:
        came = "q was found in another way than by maximising the ELBO"
    else:
        return
    raise NotAnOptimumError(
        f"covariance tells how the optimum of the ELBO moves, but {came}; expected a fit that "
        f"maximised it on its own data: take draws, fit.posterior(key=key), or fit with the ELBO"
    )


@eqx.filter_jit
def _pair_elbos(
    fitted: Fitted, key: RandomKey, pairs: int, raw: Float[Array, "rows raw"] | None
) -> Float[Array, " pairs"]:
    first = independent(fitted, key, pairs)
    both = jax.tree.map(lambda leaf: jnp.concatenate([leaf, -leaf]), first)
    values = elbo_draws(
        fitted.model, fitted.guide, StickTheLanding(), fitted.variational, both, None, raw
    )
    return 0.5 * (values[:pairs] + values[pairs:])
