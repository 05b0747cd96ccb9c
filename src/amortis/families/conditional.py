"""`Conditional`: a row's factor that moves with the globals."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_kind
from amortis.families.diagonal import DiagonalNormal
from amortis.families.interface import AbstractFamily

_FEWEST_POINTS = 32


class Conditional(AbstractFamily):
    r"""A factor given the globals: $q(z_n\mid x_n,\theta)$ in place of $q(z_n\mid x_n)$.

    Its raw parameters are affine in the standardized globals $t = L^{-1}(\theta - m)$ of
    $q_0(\theta)$: $\nu_n(\theta) = a_n + A_n t$. The inference function gives $a_n$ and
    $A_n$, so that for a normal the mean and the log sds of $z_n$ both move with the globals:
    $q(\theta)\prod_n q(z_n\mid x_n,\theta)$ has the dependence between globals and locals that
    $q(\theta)\prod_n q(z_n)$ cuts, and with it the variance of the globals that it understates.
    Affine is the first order of the exact conditional around the mean of $q_0$, and all of it where
    the joint posterior is Gaussian, as in the linear model.

    Raw parameters of the factor are those of `given` at t = 0, then one such vector for every
    coordinate of the globals. Globals with `Point()` have t = 0.

    Attributes:
        given: the factor of the locals given the globals.
        globals_: dimension of the globals; `fit` fills it in.

    References:
        Agrawal & Domke, *Amortized variational inference for simple hierarchical models* (2021);
        Tan, Bhaskaran & Nott, *Conditionally structured variational Gaussian approximation with
        importance weights* (2020).
    """

    given: AbstractFamily = eqx.field(default_factory=DiagonalNormal)
    globals_: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        require_kind("Conditional given", self.given, AbstractFamily, "amortis.DiagonalNormal()")
        if isinstance(self.given, Conditional) or not self.given.is_identified:
            raise ArgumentError(
                f"Conditional given is {type(self.given).__name__}(), some of whose parameters "
                f"have no meaning of their own that could be affine in the globals; expected one "
                f"whose have: pass amortis.DiagonalNormal() or amortis.FullRank()"
            )

    def for_globals(self, dimension: int) -> "Conditional":
        """The same for globals of so many dimensions."""
        return dataclasses.replace(self, globals_=dimension)

    def at(
        self, raw: Float[Array, "batch raw"], standardized: Float[Array, " d_theta"]
    ) -> Float[Array, "batch given"]:
        r"""Raw parameters of `given` for each row, $a_n + A_n t$.

        Args:
            raw: raw parameters of the rows.
            standardized: t, the standardized globals.
        """
        parts = raw.reshape(raw.shape[0], 1 + self.globals_, -1)
        return parts[:, 0] + jnp.einsum("bkr,k->br", parts[:, 1:], standardized)

    @property
    def is_density(self) -> bool:
        return self.given.is_density

    @property
    def is_factorized(self) -> bool:
        return False

    def raw_size(self, dimension: int) -> int:
        return (1 + self.globals_) * self.given.raw_size(dimension)

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        first = self.given.start(dimension, log_sd)
        return jnp.pad(first, (0, self.globals_ * first.shape[0]))

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        return self.given.sample(self._first(raw), noise)

    @property
    def is_identified(self) -> bool:
        return self.given.is_identified

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        return self.given.standardized(self._first(raw), value)

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        return self.given.draw(self._first(raw), noise)

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        return self.given.log_density(self._first(raw), value)

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        """Of the locals with Gaussian globals summed out, by the law of total variance.

        The mean is exact; the variance of a normal is where its scale does not move with the
        globals, else by a rule of 32 points or twice as many as there are globals.
        """
        if not self.globals_:
            return self.given.moments(raw)
        points = max(_FEWEST_POINTS, 2 ** int(np.ceil(np.log2(2 * self.globals_))))
        rule = jnp.asarray(numerics.low_discrepancy(points, self.globals_), raw.dtype)
        means, sds = jax.vmap(lambda t: self.given.moments(self.at(raw[None], t)[0]))(rule)
        variance = jnp.mean(jnp.square(sds), axis=0) + jnp.var(means, axis=0)
        return jnp.mean(means, axis=0), jnp.sqrt(variance)

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return raw  # those of rows are searched for as they are

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return coordinates

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        # E[t] = 0 and E[t t'] = I: the Fisher information has a block for each coordinate of t,
        # and all blocks are that of `given`.
        first = self._first(raw)
        parts = gradient.reshape(1 + self.globals_, -1)
        return jax.vmap(lambda part: self.given.natural_step(first, part))(parts).reshape(-1)

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # Only globals are watched, and a factor given the globals is none of those.
        return jnp.zeros((), gradient.dtype), jnp.zeros((), gradient.dtype)

    def _first(self, raw: Float[Array, " raw"]) -> Float[Array, " given"]:
        return raw.reshape(1 + self.globals_, -1)[0]
