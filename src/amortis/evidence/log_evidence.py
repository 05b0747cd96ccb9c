"""`log_evidence`: the evidence of each datum, with the globals held and its latents summed out."""

from amortis._require import require_key, require_kind
from amortis._types import RandomKey
from amortis.evidence.held import RowsAsked, held
from amortis.evidence.importance import ImportanceSampling
from amortis.evidence.record import LogEvidence
from amortis.evidence.weighed import AbstractEvidenceMethod
from amortis.fitting import Fit


def log_evidence(
    fitted: Fit,
    *,
    key: RandomKey,
    method: AbstractEvidenceMethod | None = None,
    rows: RowsAsked | None = None,
) -> LogEvidence:
    r"""$\log p(x_n\mid\hat\theta) = \log\int p(x_n, z\mid\hat\theta)\,dz$ of rows, from below.

    The globals are held at the middle of their factor, $\hat\theta$, which of point estimates is
    all there is of them. With `amortis.infer(fitted, x_new)` in place of the fit it is the
    log likelihood of held-out data.

    Args:
        fitted: a fit, or what `infer` makes of it for new data.
        key: random key.
        method: `ImportanceSampling(draws=5000)`, the default, or `AnnealedImportanceSampling(…)`.
        rows: how many rows, spread evenly over the data, or their positions; all if left out.

    Returns:
        The estimates in nats, with standard errors and effective sample sizes.

    Raises:
        ArgumentError: a model without local latents, or whose units cannot be evaluated apart; or
            rows that the data do not have.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 1.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 3.0, 50)
        >>> fitted = amortis.fit(amortis.from_numpyro(model, x), key=jax.random.key(0))
        >>> found = log_evidence(fitted, key=jax.random.key(1), rows=[0])
        >>> round(float(found.rows[0]), 2)  # log N(-3; 0, 2)
        -3.52
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    chosen = ImportanceSampling() if method is None else method
    require_kind("method", chosen, AbstractEvidenceMethod, "amortis.ImportanceSampling()")
    some = held(fitted, rows)
    return LogEvidence.of(some.index, chosen.weigh(some, key), chosen)
