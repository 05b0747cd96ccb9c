"""`check`: whether amortization can match factorized inference, on the user's own model."""

import weakref
from collections.abc import Callable
from typing import Any

from amortis._errors import ArgumentError, NoLocalPlateError
from amortis._require import require_callable
from amortis.model import LatentModel, joint_of
from amortis.structure import Joint, Kind, Verdict, examine


def check(
    model: LatentModel | Callable[..., Any], *args: Any, local: str | None = None, **kwargs: Any
) -> Verdict:
    r"""Decide whether there is an ideal inference function, on which inputs, and if not, why not.

    At the optimum of factorized inference $q(z_n) \propto \exp E[\log p(\theta, z, x)]$. With H the
    Hessian of the log joint in latents and data, $z_n$'s factor reads the data m directly if
    $H[z_n, x_m] \not\equiv 0$, and touches another local latent if $H[z_n, z_m] \not\equiv 0$. One
    function of what $z_n$ reads serves all n if no two local latents touch each other, and if rows
    that are given the same values have the same factor. Both are tested on the model itself, at
    full size, at several random points; see `docs/check.md`.

    Args:
        model: a bound model, or a NumPyro model with its data as `from_numpyro` takes them. It need
            not have rows that can be sliced: `scan`, gathers, Cholesky factors are looked through.
        *args: the model's positional arguments, if it is not bound.
        local: name of the plate, or of a latent site, that holds the locals.
        **kwargs: its keyword arguments.

    Returns:
        The verdict: its kind, the inputs, reasons, evidence and options. `print` reads as an
        answer.

    Raises:
        ArgumentError: a bound model together with data.
        DataError: empty or object arrays, NaN or infinity.
        ModelError: discrete latents, latents without a support, a model that raises, one whose
            structure depends on the values of its data, or a name that nothing has.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), Theorem 3.4.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> check(model, jax.numpy.linspace(-3.0, 3.0, 50)).kind.name
        'POINTWISE'
    """
    if isinstance(model, LatentModel):
        if args or kwargs:
            raise ArgumentError(
                "check got a bound model together with data; expected one or the other: pass the "
                "NumPyro function with its data, or the bound model alone"
            )
        known = model.verdict
        if known is not None and known.kind is Kind.NO_LOCALS and local is None:
            return known
        return _of_bound(model, local or model.plate)
    require_callable("the model", model)
    return _examined(joint_of(model, *args, local=local, **kwargs), local)


_KNOWN: dict[tuple[int, str], Verdict] = {}
"""Verdicts on bound models by identity, as long as these live: `fit` asks for them every time."""


def _of_bound(model: LatentModel, local: str) -> Verdict:
    place = (id(model), local)
    if place not in _KNOWN:
        _KNOWN[place] = _examined(model.joint(), local)
        weakref.finalize(model, _KNOWN.pop, place, None)
    return _KNOWN[place]


def _examined(joint: Joint, local: str | None) -> Verdict:
    names = {name for axis in joint.axes for name in (axis.name, *axis.sites)}
    if local is not None and local not in names:
        raise NoLocalPlateError(
            f"local={local!r} is neither a plate around latents nor a latent site with several "
            f"entries; expected one of {sorted(names)}: correct the name"
        )
    return examine(joint, local)
