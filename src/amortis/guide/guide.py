"""`Guide`: one factor for the globals, one inference function for all locals."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis import numerics
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.families import AbstractFamily, Conditional, Framed
from amortis.guide.climbing import AbstractRowProblems
from amortis.guide.layout import SiteLayout
from amortis.guide.noise import Noise
from amortis.guide.points import center_of, with_points
from amortis.guide.roles import require_roles
from amortis.guide.standardizer import Standardizer
from amortis.guide.start import global_start
from amortis.inference_functions import (
    AbstractInferenceFunction,
    AbstractIterated,
    Climb,
    Constant,
    FunctionShape,
    take,
)
from amortis.model import Inputs, LatentModel


class Guide(eqx.Module):
    r"""$q(\theta, z) = q_0(\theta)\prod_n q(z_n; f_\phi(w_n))$ with $w_n$ the standardized inputs.

    Parameters live outside, in a pytree with entries `globals` (raw parameters of $q_0$) and
    `locals` (parameters of the inference function), as `init` makes it.

    Attributes:
        global_family: the factor of the globals.
        local_family: the factor of one row's locals.
        inference: the inference function.
        theta: layout of the globals in a vector.
        z: layout of one row's locals in a vector.
        standardize: makes standardized contexts of inputs.
        contexts: contexts of the rows the guide is made for.
        shape: the sizes the inference function is made for.
        offset: raw parameters of a local factor where the function's output is zero.
        center: where globals without a prior start; see `center_of`.
        row_elbos: what an `AbstractIterated` function climbs; None for others.
    """

    global_family: AbstractFamily
    local_family: AbstractFamily
    inference: AbstractInferenceFunction
    theta: SiteLayout
    z: SiteLayout
    standardize: Standardizer
    contexts: Any
    offset: Float[Array, " raw"]
    shape: FunctionShape = eqx.field(static=True)
    center: Any = None
    row_elbos: AbstractRowProblems | None = None

    def init(self, key: RandomKey) -> dict[str, Parameters]:
        """Starting parameters with entries `globals`, near zero but for a nudge, and `locals`."""
        return {
            "globals": global_start(self.global_family, self.theta.dimension, self.center, key),
            "locals": self.inference.init(numerics.forked(key, 1), self.shape),
        }

    def local_raw(
        self,
        parameters: Parameters,
        inputs: Inputs | Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch raw"]:
        """Raw parameters of each unit's local factor, from inputs that may be new.

        Args:
            parameters: as made by `init`.
            inputs: as a model has them, not standardized; a matrix where units read their own rows.
            index: positions of the units in the fitted data, or None; only `Table` needs them.

        Returns:
            One row of raw parameters per unit. Units at the ends of a new series have no parameters
            of their own; see `Windowed`.
        """
        given = inputs if isinstance(inputs, Inputs) else Inputs(jnp.asarray(inputs))
        parts = self.standardize(self.inference.arrange(given))
        if parts.edge is not None:
            parts = dataclasses.replace(parts, edge=jnp.full_like(parts.edge, -1))
        context = self.inference.context(parts)
        return self.offset + self.inference(parameters["locals"], context, index)

    def fitted_raw(
        self, parameters: Parameters, index: RowIndex | None
    ) -> Float[Array, "batch raw"]:
        """The same for rows of the data that the guide was made for, whose contexts are kept.

        Args:
            parameters: as made by `init`.
            index: positions of the rows in the data, or None for all.
        """
        return self.iterates(parameters, index)[-1]

    def iterates(
        self, parameters: Parameters, index: RowIndex | None
    ) -> Float[Array, "iterates batch raw"]:
        """The same after every step of an iterated function; of others there is one."""
        if isinstance(self.inference, AbstractIterated):
            return self.climb(parameters, index).raw
        contexts = self.contexts if index is None else take(self.contexts, index)
        return (self.offset + self.inference(parameters["locals"], contexts, index))[None]

    def climb(self, parameters: Parameters, index: RowIndex | None) -> Climb:
        """All that an iterated function does for these rows; arguments as of `fitted_raw`."""
        inference = self.inference
        assert isinstance(inference, AbstractIterated)  # others do not climb
        contexts = self.contexts if index is None else take(self.contexts, index)
        assert self.row_elbos is not None  # whoever binds one to a model gives it these
        held = {"globals": parameters["globals"]}
        held = held if inference.gradients.through else jax.lax.stop_gradient(held)
        problem = self.row_elbos.problem(self.factors(), held, index)
        return inference.climb(parameters["locals"], contexts, index, self.offset, problem)

    def factors(self) -> "Guide":
        """The factors without the function: what needs no more compiles once for all functions."""
        return dataclasses.replace(self, inference=Constant(), contexts=None, row_elbos=None)

    def starting_at(self, log_sd: float) -> "Guide":
        """The same guide with another log sd of the locals where the function's output is zero."""
        return dataclasses.replace(self, offset=self.local_family.start(self.z.dimension, log_sd))

    def sample(
        self, parameters: Parameters, raw: Float[Array, "batch raw"], noise: Noise
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """One draw of globals and of a batch of locals, unconstrained, by site, rows first.

        Args:
            parameters: as made by `init`.
            raw: the rows' raw parameters from `local_raw`.
            noise: noise of one draw.
        """
        theta = self.global_family.sample(parameters["globals"], jnp.asarray(noise.theta))
        return self.theta.split(theta), self.locals_at(parameters, raw, theta, noise)

    def locals_at(
        self,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        theta: Float[Array, " d_theta"],
        noise: Noise,
    ) -> dict[str, Array]:
        """One draw of a batch of locals by site, given a vector of globals."""
        wide = jnp.broadcast_to(noise.z, (raw.shape[0], self.z.dimension))
        z = jax.vmap(self.row_family.sample)(self.given(parameters, raw, theta), wide)
        return self.z.split(z)

    def local_entropy(
        self, parameters: Parameters, raw: Float[Array, "batch raw"], noise: Noise
    ) -> Float[Array, " batch"]:
        """Entropy of each row's locals in nats, given the globals of one draw."""
        theta = self.global_family.sample(parameters["globals"], jnp.asarray(noise.theta))
        return self.local_entropy_at(parameters, raw, theta, noise)

    def local_entropy_at(
        self,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        theta: Float[Array, " d_theta"],
        noise: Noise,
    ) -> Float[Array, " batch"]:
        """Entropy of each row's locals in nats, given a vector of globals."""
        wide = jnp.broadcast_to(noise.z, (raw.shape[0], self.z.dimension))
        given = self.given(parameters, raw, theta)
        return jax.vmap(self.row_family.draw)(given, wide)[1]

    @property
    def row_family(self) -> AbstractFamily:
        """The factor of one row's locals given the globals."""
        family = self.local_family
        return family.given if isinstance(family, Conditional) else family

    @property
    def tying(self) -> str:
        """The choice that ties globals to each other, or locals to them, as a message shows it."""
        tied = self.global_family if not self.global_family.is_factorized else self.local_family
        tied = tied.inner if isinstance(tied, Framed) else tied
        return f"{type(tied).__name__}()"

    @property
    def is_factorized(self) -> bool:
        """Whether no factor ties coordinates of the globals to each other, or locals to them."""
        tied = isinstance(self.local_family, Conditional) and self.global_family.is_density
        return self.global_family.is_factorized and not tied

    def given(
        self, parameters: Parameters, raw: Float[Array, "batch raw"], theta: Float[Array, " d"]
    ) -> Float[Array, "batch given"]:
        """Raw parameters of `row_family` for each row, given a vector of globals."""
        if not isinstance(self.local_family, Conditional):
            return raw
        standardized = self.global_family.standardized(parameters["globals"], theta)
        return self.local_family.at(raw, standardized)

    def log_density(
        self, parameters: Parameters, raw: Float[Array, "batch raw"], theta: Any, z: Any
    ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
        """Log density of unconstrained values in nats: of the globals, and of each row's locals."""
        vector = self.theta.join(theta)
        global_part = self.global_family.log_density(parameters["globals"], vector)
        given = self.given(parameters, raw, vector)
        values = self.z.join(z) if self.z.dimension else jnp.zeros((raw.shape[0], 0))
        return global_part, jax.vmap(self.row_family.log_density)(given, values)

    def step_sizes(self, parameters: Parameters) -> dict[str, Any]:
        """One for the globals, those of `AbstractInferenceFunction.step_sizes` for the locals."""
        return {
            "globals": jax.tree.map(lambda _: 1.0, parameters["globals"]),
            "locals": self.inference.step_sizes(parameters["locals"]),
        }

    def coordinates(self, parameters: Parameters) -> dict[str, Parameters]:
        """The parameters in coordinates that suit second-order search of a loss per datum.

        The globals' by `AbstractFamily.coordinates`. A row's own parameters enter one term in N,
        so per datum the loss curves N times less along them than along shared ones; dividing them
        by the square root of N evens that out.
        """
        return {
            "globals": self.global_family.coordinates(parameters["globals"]),
            "locals": jax.tree.map(lambda leaf: leaf / self._row_scale, parameters["locals"]),
        }

    def from_coordinates(self, coordinates: Parameters) -> dict[str, Parameters]:
        """The parameters again."""
        return {
            "globals": self.global_family.from_coordinates(coordinates["globals"]),
            "locals": jax.tree.map(lambda leaf: leaf * self._row_scale, coordinates["locals"]),
        }

    @property
    def _row_scale(self) -> float:
        return math.sqrt(self.shape.rows) if self.inference.owns_rows else 1.0

    @property
    def noise_size(self) -> int:
        """Number of standard normals that a draw of the globals is made of."""
        return self.global_family.noise_size(self.theta.dimension)

    @property
    def rows(self) -> int:
        """Number of units N the guide is made for."""
        return self.shape.rows

    def global_moments(self, parameters: Parameters) -> tuple[Array, Array]:
        """Means and sds of the unconstrained globals, laid end to end."""
        return self.global_family.moments(parameters["globals"])

    @classmethod
    def for_model(
        cls,
        model: LatentModel,
        inference: AbstractInferenceFunction,
        global_family: AbstractFamily,
        local_family: AbstractFamily,
    ) -> "Guide":
        """Make a guide for a model; the inputs are standardized by its data, once.

        Args:
            model: gives shapes, size and inputs.
            inference: the inference function.
            global_family: the factor of the globals.
            local_family: the factor of one row's locals; it must have a density.

        Raises:
            ArgumentError: the local family has no density.
        """
        require_roles(global_family, local_family)
        theta, z = SiteLayout(model.globals_), SiteLayout(model.locals_)
        global_family = with_points(global_family, local_family, theta, model.starts)
        given = theta.dimension if isinstance(local_family, Conditional) else 0
        if isinstance(local_family, Conditional):
            local_family = local_family.for_globals(theta.dimension)
        parts = inference.arrange(model.all_inputs)
        standardize = Standardizer.of(parts, inference)
        return cls(
            global_family=global_family,
            local_family=local_family,
            inference=inference,
            theta=theta,
            z=z,
            standardize=standardize,
            contexts=inference.context(standardize.on_host(parts)),
            offset=local_family.start(z.dimension, 0.0),
            center=center_of(theta, model.starts),
            shape=FunctionShape.of(parts, model.size, local_family.raw_size(z.dimension), given),
        )
