"""`compare`: a fit beside draws from the posterior, site by site, in posterior sds."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from amortis._errors import ArgumentError, DataError
from amortis._require import require_kind
from amortis.fitting import Fit


@dataclasses.dataclass(frozen=True)
class SiteComparison:
    """One site of a fit beside posterior draws.

    Attributes:
        mean_error: mean under q less the posterior's, in posterior sds, in the site's shape.
        sd_ratio: sd under q over the posterior's, in the site's shape.
    """

    mean_error: Float[np.ndarray, "*shape"]
    sd_ratio: Float[np.ndarray, "*shape"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A fit beside posterior draws.

    Attributes:
        sites: by site, means and sds.
        draws: number of posterior draws; means of independent draws are uncertain by one over the
            root of it, in sds, and correlated ones by more.
    """

    sites: Mapping[str, SiteComparison]
    draws: int

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return {
            "draws": self.draws,
            "sites": {
                name: {
                    "mean_error": site.mean_error.tolist(),
                    "sd_ratio": site.sd_ratio.tolist(),
                }
                for name, site in self.sites.items()
            },
        }

    def __str__(self) -> str:
        width = max(map(len, self.sites), default=4)
        lines = [f"{'site':{width}}  worst mean error  rms mean error  sd ratio, least to largest"]
        for name, site in self.sites.items():
            worst = np.max(np.abs(site.mean_error))
            rms = np.sqrt(np.mean(np.square(site.mean_error)))
            low, high = np.min(site.sd_ratio), np.max(site.sd_ratio)
            lines.append(f"{name:{width}}  {worst:16.3f}  {rms:14.3f}  {low:.3f} to {high:.3f}")
        return "\n".join([*lines, f"mean errors in posterior sds; {self.draws} posterior draws"])


def compare(fitted: Fit, posterior: Any) -> Comparison:
    r"""Compare means and standard deviations of a fit with draws from the posterior.

    Per entry of every site, $(E_q[v] - E_p[v]) / \mathrm{sd}_p(v)$ and
    $\mathrm{sd}_q(v) / \mathrm{sd}_p(v)$, on the constrained scale.

    Args:
        fitted: the fit.
        posterior: NumPyro's `MCMC` after its run, or draws by site, shape (draws, *site).

    Returns:
        The comparison, of the sites that both have; `print` reads as a table.

    Raises:
        ArgumentError: something that has no draws.
        DataError: no site in common, other shapes, fewer than two draws, or draws that are not
            finite.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> from numpyro.infer import MCMC, NUTS
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 3.0, 20)
        >>> mcmc = MCMC(NUTS(model), num_warmup=200, num_samples=200, progress_bar=False)
        >>> mcmc.run(jax.random.key(0), x)
        >>> fitted = amortis.fit(amortis.from_numpyro(model, x), key=jax.random.key(0))
        >>> sorted(compare(fitted, mcmc).sites)
        ['theta', 'z']
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    draws = posterior.get_samples() if hasattr(posterior, "get_samples") else posterior
    if not isinstance(draws, Mapping):
        raise ArgumentError(
            f"posterior is {type(posterior).__name__}; expected NumPyro's MCMC after its run, or "
            f"draws by site: pass mcmc or mcmc.get_samples()"
        )
    moments = fitted.moments()
    common = [name for name in moments if name in draws]
    if not common:
        raise DataError(
            f"the fit has sites {', '.join(moments)}, the draws {', '.join(map(str, draws))}; "
            f"expected some in common: pass draws from the same model"
        )
    sites = {name: _compared(name, moments[name], np.asarray(draws[name])) for name in common}
    return Comparison(sites, int(np.shape(draws[common[0]])[0]))


def _compared(name: str, moments: tuple[Any, Any], draws: np.ndarray) -> SiteComparison:
    mean, sd = (np.asarray(value, np.float64) for value in moments)
    if draws.ndim == 0 or draws.shape[1:] != mean.shape or draws.shape[0] < 2:
        raise DataError(
            f"draws of {name!r} have shape {draws.shape}; expected (draws, *{mean.shape}) with at "
            f"least two draws: pass mcmc.get_samples() of the same model and data"
        )
    values = draws.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"draws of {name!r} are not all finite; expected finite numbers")
    scale = values.std(axis=0, ddof=1)
    return SiteComparison(np.asarray((mean - values.mean(axis=0)) / scale), np.asarray(sd / scale))
