"""`AutoAmortizedNormal`: amortized guides for NumPyro's own SVI, Predictive and handlers."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from jax.core import Tracer
from jaxtyping import Array
from numpyro import handlers
from numpyro.infer import init_to_uniform
from numpyro.infer.autoguide import AutoGuide

from amortis._errors import ArgumentError
from amortis._require import require_callable, require_kind, require_positive
from amortis._types import Parameters, RandomKey
from amortis.export.binding import (
    Bound,
    bind,
    require_no_steps,
    require_normal,
    source_of,
    unit_axes,
)
from amortis.export.call_inputs import Asked, context_of_call
from amortis.export.guide_run import GuideRun
from amortis.families import AbstractFamily, DiagonalNormal, Point
from amortis.fitting import Fit
from amortis.inference_functions import AbstractInferenceFunction, as_inference_function
from amortis.model.arguments import name_arrays

_NEAR_ZERO: Callable[..., Any] = functools.partial(init_to_uniform, radius=0.1)  # pyright: ignore[reportArgumentType]
"""Where globals start: as in `amortis.fit`, near unconstrained zero but off its saddle points."""

_DRAWS_AT_ONCE = 64


class AutoAmortizedNormal(AutoGuide):
    r"""A NumPyro guide $q(\theta)\prod_n q(z_n; f_\phi(w_n))$ of normals, found from the model.

    The first call, with data that have values (`svi.init` makes it), binds the model as
    `from_numpyro` does: the local plate, the globals, and what the locals read are found, and
    checked on these data. Later calls evaluate the same function on whatever data they are given:
    rows of another number, the subsample that the model's plate draws, or minibatches that are
    passed as arguments to a model whose plate says the full size. They may be traced.

    Its parameters are two sites: `{prefix}_globals`, a vector, and `{prefix}_locals`, a pytree.
    Supports are mapped from the reals by `biject_to`. A model without local latents is refused:
    NumPyro's `AutoNormal` is the guide for it.

    Args:
        model: the NumPyro model.
        inference: the inference function; by default what `check` finds to be enough, as in `fit`.
        globals_: `DiagonalNormal()`, the default, or `Point()`.
        prefix: of the names of the two parameters.
        init_loc_fn: NumPyro's strategy for where the globals start; locals start at zero, where
            the inference function does.
        init_scale: standard deviation of every unconstrained latent at the start.
        local: name of the local plate or site, where several could be meant.

    Raises:
        ArgumentError: at construction, for choices that do not fit; at the first call, if its data
            are traced.
        ModelError: at the first call, for what `from_numpyro` refuses.
        DataError: at a later call, for data of another kind.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist
        >>> from numpyro.infer import SVI, Predictive, Trace_ELBO
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 3.0, 50)
        >>> guide = AutoAmortizedNormal(model)
        >>> svi = SVI(model, guide, numpyro.optim.Adam(0.01), Trace_ELBO())
        >>> result = svi.run(jax.random.key(0), 100, x, progress_bar=False)
        >>> guide.median(result.params, x[:3] + 1.0)["z"].shape  # rows that were not fitted
        (3,)
    """

    def __init__(
        self,
        model: Callable[..., Any],
        *,
        inference: AbstractInferenceFunction | Callable[..., Any] | None = None,
        globals_: AbstractFamily | None = None,
        prefix: str = "auto",
        init_loc_fn: Callable[..., Any] = _NEAR_ZERO,
        init_scale: float = 0.1,
        local: str | None = None,
    ) -> None:
        require_callable("the model", model)
        chosen = None if inference is None else as_inference_function(inference)
        require_no_steps(chosen)
        self._global_family = DiagonalNormal() if globals_ is None else globals_
        require_normal("globals_", self._global_family, (DiagonalNormal, Point))
        require_positive("AutoAmortizedNormal", "init_scale", init_scale)
        super().__init__(model, prefix=prefix, init_loc_fn=init_loc_fn)
        self._inference, self._init_scale, self._local = chosen, init_scale, local
        self._bound: Bound | None = None

    @classmethod
    def from_fit(cls, fit: Fit, *, prefix: str = "auto") -> "AutoAmortizedNormal":
        """The guide of a fit, for NumPyro's handlers; its parameters start where the fit ended.

        Args:
            fit: a fit of a model from `from_numpyro`.
            prefix: of the names of the two parameters; see `params_of`.

        Raises:
            ArgumentError: the fit's model is no NumPyro model, or its factors are not normal.
        """
        require_kind("fit", fit, Fit, "amortis.fit(model, key=key)")
        function, local = source_of(fit)
        require_no_steps(fit.guide.inference)
        require_normal("locals_", fit.guide.local_family, (DiagonalNormal,))
        guide = cls(function, globals_=fit.guide.global_family, prefix=prefix, local=local)
        guide._bound = Bound(fit.model, fit.guide, unit_axes(fit.model), fit.variational)
        return guide

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Array]:
        """Draw all latents; with the arguments of the model.

        Returns:
            By site, of the shapes that they have in the model.
        """
        bound = self._bind(args, kwargs)
        return dict(self._run(bound, self._registered(bound), args, kwargs).latents)

    def sample_posterior(
        self,
        rng_key: RandomKey,
        params: Mapping[str, Any],
        *args: Any,
        sample_shape: tuple[int, ...] = (),
        **kwargs: Any,
    ) -> dict[str, Array]:
        """Draws of all latents and of deterministic sites for the data of this call.

        Args:
            rng_key: random key.
            params: as `svi.get_params` or `params_of` gives them.
            *args: the model's arguments; those of the first call if none are given.
            sample_shape: shape of the draws.
            **kwargs: the model's keyword arguments.

        Returns:
            By site, shape (*sample_shape, *shape of the site in the model).
        """
        bound, args, kwargs = self._known(args, kwargs)

        def one(key: RandomKey) -> dict[str, Array]:
            with handlers.seed(rng_seed=key):
                run = self._run(bound, self._given(params), args, kwargs)
            return run.latents | run.deterministic

        if not sample_shape:
            return one(rng_key)
        keys = jax.random.split(rng_key, math.prod(sample_shape))
        draws = jax.lax.map(one, keys, batch_size=min(_DRAWS_AT_ONCE, keys.shape[0]))
        return {n: jnp.reshape(v, (*sample_shape, *v.shape[1:])) for n, v in draws.items()}

    def median(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> dict[str, Array]:
        """Medians of all latents for the data of this call; see `quantiles`."""
        return {n: v[0] for n, v in self.quantiles(params, [0.5], *args, **kwargs).items()}

    def quantiles(
        self, params: Mapping[str, Any], quantiles: Any, *args: Any, **kwargs: Any
    ) -> dict[str, Array]:
        """Quantiles of all latents on the model's scale, for the data of this call.

        Exact where a site's bijection works entry by entry. A support that depends on other
        latents is taken at the same quantile of those, and entries of a simplex are mapped
        together, as NumPyro does.

        Args:
            params: as `svi.get_params` or `params_of` gives them.
            quantiles: probabilities between 0 and 1.
            *args: the model's arguments; those of the first call if none are given.
            **kwargs: the model's keyword arguments.

        Returns:
            By site, shape (number of quantiles, *shape of the site in the model).
        """
        bound, args, kwargs = self._known(args, kwargs)

        def one(level: Array) -> dict[str, Array]:
            with handlers.seed(rng_seed=0):  # the key of a subsample, at most
                return self._run(bound, self._given(params), args, kwargs, level).latents

        return jax.lax.map(one, jnp.ravel(jnp.asarray(quantiles, jnp.result_type(float))))

    def _run(
        self,
        bound: Bound,
        parameters: Parameters,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        level: Array | None = None,
    ) -> GuideRun:
        arrays = name_arrays(self.model, args, kwargs)

        def context(asked: Asked) -> Any:
            return context_of_call(bound.model, bound.guide, arrays, asked)

        run = GuideRun(bound.model, bound.guide, bound.axes, parameters, context, level)
        with run:
            self.model(*args, **kwargs)
        return run

    def _registered(self, bound: Bound) -> Parameters:
        return {
            part: numpyro.param(f"{self.prefix}_{part}", bound.start[part])
            for part in ("globals", "locals")
        }

    def _given(self, params: Mapping[str, Any]) -> Parameters:
        names = {part: f"{self.prefix}_{part}" for part in ("globals", "locals")}
        missing = [name for name in names.values() if name not in params]
        if missing:
            raise ArgumentError(
                f"params has {', '.join(params) or 'no entries'}; expected {missing[0]!r} among "
                f"them: pass svi.get_params(state) or params_of(fit, prefix={self.prefix!r})"
            )
        return {part: params[name] for part, name in names.items()}

    def _known(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Bound, tuple[Any, ...], dict[str, Any]]:
        """What the first call found, and the arguments, which are its own if none are given."""
        if self._bound is None:
            raise ArgumentError(
                "the guide has seen no data yet; expected a first call with the data to be fitted: "
                "call svi.init or svi.run first, or use AutoAmortizedNormal.from_fit"
            )
        if not args and not kwargs and self._bound.arguments is not None:
            args, kwargs = self._bound.arguments
        return self._bound, args, kwargs

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        if self._bound is None:
            key = numpyro.prng_key()
            if any(isinstance(v, Tracer) for v in jax.tree.leaves((args, kwargs, key))):
                raise ArgumentError(
                    "the guide was first called inside a compiled function, where data have no "
                    "values to find its structure from; expected values: call svi.init outside of "
                    "jit first"
                )
            if key is None:
                raise ArgumentError(
                    "the guide was called without a random key; expected one: call it inside of "
                    "svi.init or as handlers.seed(guide, key)"
                )
            self._setup_prototype(*args, **kwargs)
            with handlers.block():
                bound = bind(
                    self.model, args, kwargs, self._local, self._inference, self._global_family
                )
            self._bound = bound.starting(key, self._init_locs, self._init_scale)
        return self._bound
