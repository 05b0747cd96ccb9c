"""Pathfinder: Gaussians read off the way of L-BFGS to a mode, and several ways at once.

The algorithm is BlackJAX's. Its functions are called here as they stand and uncompiled, so that
every number is the one that BlackJAX gives by itself, to the bit; a compiled copy would round
differently. What is added is a record of which paths failed, which BlackJAX does not tell.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from amortis._errors import ArgumentError, NonFiniteDensityError
from amortis._require import require_callable, require_count, require_key, shown
from amortis.optimise.blackjax_import import blackjax_library

LogDensity = Callable[[Float[Array, " d"]], Float[Array, ""]]
PRNGKey = Key[Array, ""] | Shaped[Array, " 2"]

PATHS = 20
"""Number of paths in the experiments of Zhang et al. (2022), section 3."""


class Paths(eqx.Module):
    """What Pathfinder found from each start.

    A failed path is one whose ELBO, Gaussian or draws are not finite, none of whose draws has a
    finite log density, or whose L-BFGS never left its start. BlackJAX reports none of these: it
    goes on with a Gaussian of unit covariance near the start, and a single NaN among the log
    densities makes all draws that it resamples one and the same. Here the Gaussian of a failed path
    is NaN, its ELBO and its log weights are -inf, and `resampled` leaves it out.

    Attributes:
        means: of the Gaussian of each path, shape (paths, d).
        roots: lower Cholesky factors of their covariances, shape (paths, d, d).
        elbos: their ELBOs in nats by the few draws that chose them, each the largest along its
            path and so biased upwards, shape (paths,).
        iterates: which point of its path each was built at, shape (paths,); 0 is the start, whose
            covariance is the identity.
        failed: whether the path failed, shape (paths,).
        cut_short: whether L-BFGS was still moving when its iterations ran out, shape (paths,).
        draws: from each Gaussian, as BlackJAX drew them, shape (paths, draws, d).
        log_densities: the log density at the draws in nats, shape (paths, draws).
        log_proposals: the log density of the draws' own Gaussian in nats, shape (paths, draws).
    """

    means: Float[Array, "paths d"]
    roots: Float[Array, "paths d d"]
    elbos: Float[Array, " paths"]
    iterates: Int[Array, " paths"]
    failed: Bool[Array, " paths"]
    cut_short: Bool[Array, " paths"]
    draws: Float[Array, "paths draws d"]
    log_densities: Float[Array, "paths draws"]
    log_proposals: Float[Array, "paths draws"]

    @property
    def best(self) -> int:
        """The path of the largest ELBO, which is never a failed one."""
        return int(jnp.argmax(self.elbos))

    @property
    def log_weights(self) -> Float[Array, "paths draws"]:
        r"""Log importance weights $\log p(x) - \log q_i(x)$ of the draws x of path i, in nats.

        They are -inf in failed paths, and where the log density is not finite.
        """
        usable = jnp.isfinite(self.log_densities) & ~self.failed[:, None]
        return jnp.where(usable, self.log_densities - self.log_proposals, -jnp.inf)


def random_starts(key: PRNGKey, paths: int, dimension: int) -> Float[Array, "paths d"]:
    """Starts that are uniform on (-2, 2) in each coordinate, as Stan's are.

    Args:
        key: random key.
        paths: number of starts.
        dimension: length d of each.

    Returns:
        The starts, shape (paths, d).
    """
    return jax.random.uniform(key, (paths, dimension), minval=-2.0, maxval=2.0)


def pathfinder(
    log_density: LogDensity,
    starts: Float[Array, "*paths d"],
    key: PRNGKey,
    *,
    draws: int = 200,
    elbo_draws: int = 5,
    history: int = 6,
    most_iterations: int = 30,
    tolerance: float = 1e-5,
) -> Paths:
    r"""Run Pathfinder from every start, by BlackJAX.

    L-BFGS climbs the log density from each start. At every iterate θ, with the inverse Hessian Σ
    that the last `history` steps imply, it makes a Gaussian of covariance Σ near θ, and of those
    along a path it keeps the one of the largest estimate of

    $$\mathrm{ELBO} = \frac1K \sum_{k=1}^K \log p(x_k) - \log q(x_k), \qquad x_k \sim q.$$

    To the bit, and with `maxcor=history`, `maxiter=most_iterations` and `ftol=tolerance`:

    - With a matrix of starts, and `draws` equal to `elbo_draws`, the only case that BlackJAX knows,
      the draws and their log densities are those of
      `blackjax.multipathfinder(log_density).init(key, starts, draws)`.
    - With a vector, one start, they are those of `blackjax.pathfinder.approximate` and
      `blackjax.pathfinder.sample` with the first and the second key of `jax.random.split(key)`.

    In BlackJAX 1.7.1 the Gaussian at θ has the mean $θ - Σ\nabla \log p(θ)$, where the paper has a
    plus, and the last iterate of a path is never chosen: both matter less the closer L-BFGS came to
    the mode, to which a smaller `tolerance` takes it.

    Every call traces the log density anew and evaluates it operation by operation, at paths ×
    (most_iterations + 1) × elbo_draws points at once: pass `jax.jit(log_density)` if it is large.

    Args:
        log_density: maps a vector of shape (d,) to the log density there in nats, up to a constant.
        starts: where the paths start, shape (paths, d), or (d,) for a single path.
        key: random key.
        draws: number of draws from the Gaussian of each path.
        elbo_draws: number K of draws for the ELBO at each iterate; BlackJAX's own default is 200,
            the paper's 5.
        history: number of steps that L-BFGS remembers; BlackJAX's own default is 10, the paper's 6.
        most_iterations: of L-BFGS.
        tolerance: L-BFGS stops once it changes the log density by no more than this fraction of it,
            or by this many nats where the log density is below one in size.

    Returns:
        The Gaussians, their draws, and which paths failed; the record of a single path has one row.

    Raises:
        ArgumentError: an argument is outside its range.
        MissingDependencyError: BlackJAX is not installed.
        NonFiniteDensityError: all paths failed.

    References:
        Zhang, Carpenter, Gelman & Vehtari (2022), *Pathfinder: parallel quasi-Newton variational
        inference*, algorithms 1 and 2.
    """
    _check(log_density, starts, key, draws, elbo_draws, history, most_iterations)
    # BlackJAX's own names for them.
    options = {"maxcor": history, "maxiter": most_iterations, "ftol": tolerance}
    return _run(log_density, starts, key, draws, elbo_draws, options)


def _run(
    log_density: LogDensity,
    starts: Float[Array, "*paths d"],
    key: PRNGKey,
    draws: int,
    elbo_draws: int,
    options: dict[str, Any],
) -> Paths:
    """BlackJAX's functions, called just as it calls them."""
    library = blackjax_library().pathfinder

    def approximated(one_key: PRNGKey, start: Array) -> Any:
        return library.approximate(one_key, log_density, start, elbo_draws, **options)

    def drawn(one_key: PRNGKey, state: Any) -> tuple[Array, Array, Array]:
        points, log_proposals = library.sample(one_key, state, draws)
        return points, jax.vmap(log_density)(points), log_proposals

    # BlackJAX mixes dtypes, which strict promotion refuses in 64 bit.
    with jax.numpy_dtype_promotion("standard"):
        first, second = jax.random.split(key)
        if starts.ndim == 1:
            # Mapped over one row the same operations round differently.
            state, trace = approximated(first, starts)
            single = (starts, state, trace.path, *drawn(second, state))
            return _recorded(*jax.tree.map(lambda leaf: leaf[None], single))
        # Just as `blackjax.multipathfinder` splits the keys and maps.
        states, traces = jax.vmap(approximated)(jax.random.split(first, len(starts)), starts)
        found = jax.vmap(drawn)(jax.random.split(second, len(starts)), states)
        return _recorded(starts, states, traces.path, *found)


def resampled(paths: Paths, key: PRNGKey, draws: int) -> Float[Array, "draws d"]:
    """Resample the draws of the paths that did not fail, with Pareto smoothed weights.

    Where no path failed these are the draws of `blackjax.multipathfinder(log_density).sample(key,
    state, draws)`, to the bit. Draws are weighted against the Gaussian of their own path, as in the
    paper, so a mode that several paths reach counts as often as it is reached.

    Args:
        paths: what `pathfinder` returned.
        key: random key.
        draws: number of draws, with replacement.

    Returns:
        The draws, shape (draws, d).

    Raises:
        ArgumentError: `draws` is below one, or `key` is not a key.
        MissingDependencyError: BlackJAX is not installed.

    References:
        Zhang, Carpenter, Gelman & Vehtari (2022), algorithm 2; Vehtari et al. (2024), *Pareto
        smoothed importance sampling*.
    """
    require_key(key)
    require_count("resampled:", "draws", draws)
    library = blackjax_library()
    kept = ~paths.failed
    log_densities = paths.log_densities[kept]
    state = library.vi.multipathfinder.MultipathfinderState(
        path_states=None,
        samples=paths.draws[kept],
        # One NaN would spoil the weights of all draws; a draw outside the support weighs nothing.
        logp=jnp.where(jnp.isfinite(log_densities), log_densities, -jnp.inf),
        logq=paths.log_proposals[kept],
    )
    # The log density is not evaluated again: the state holds its values.
    algorithm = library.multipathfinder(lambda _: jnp.zeros(()))
    with jax.numpy_dtype_promotion("standard"):
        return algorithm.sample(key, state, draws)


def _check(log_density: Any, starts: Any, key: Any, *counts: int) -> None:
    require_callable("log_density", log_density)
    require_key(key)
    names = ("draws", "elbo_draws", "history", "most_iterations")
    for name, count in zip(names, counts, strict=True):
        require_count("pathfinder:", name, count)
    if not isinstance(starts, jax.Array) or not jnp.issubdtype(starts.dtype, jnp.floating):
        raise ArgumentError(f"starts are {shown(starts)}; expected a JAX array of floats: pass one")
    if starts.ndim not in (1, 2) or starts.size == 0:
        raise ArgumentError(
            f"starts have shape {starts.shape}; expected (paths, d), or (d,) for one path"
        )


def _recorded(
    starts: Array, states: Any, traces: Any, points: Array, log_densities: Array, log_q: Array
) -> Paths:
    means, roots = jax.vmap(_gaussian)(states)
    positions = traces.position
    away = jnp.isfinite(positions) & (positions != starts[:, None])
    failed = ~(
        jnp.isfinite(states.elbo)
        & jnp.all(jnp.isfinite(roots), axis=(1, 2))
        & jnp.all(jnp.isfinite(points), axis=(1, 2))
        & jnp.all(jnp.isfinite(log_q), axis=1)
        & jnp.any(jnp.isfinite(log_densities), axis=1)
        & jnp.any(away, axis=(1, 2))
    )
    if bool(jnp.all(failed)):
        raise NonFiniteDensityError(
            f"Pathfinder failed on all of its paths, {len(starts)} in number; expected a log "
            "density that is finite and not flat around the starts: pass other starts"
        )
    return Paths(
        means=jnp.where(failed[:, None], jnp.nan, means),
        roots=jnp.where(failed[:, None, None], jnp.nan, roots),
        elbos=jnp.where(failed, -jnp.inf, states.elbo),
        iterates=jnp.argmax(traces.elbo, axis=1),
        failed=failed,
        cut_short=jnp.any(positions[:, -1] != positions[:, -2], axis=1),
        draws=points,
        log_densities=log_densities,
        log_proposals=log_q,
    )


def _gaussian(state: Any) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean and lower root of the Gaussian that `blackjax.pathfinder.sample` draws from."""
    alpha, beta, gamma = state.alpha, state.beta, state.gamma
    gradient = state.grad_position  # of minus the log density
    mean = state.position + alpha * gradient + beta @ (gamma @ (beta.T @ gradient))
    # Its draws are mean + factor · u for a standard normal u, with a factor that is not triangular.
    basis, upper = jnp.linalg.qr(beta / jnp.sqrt(alpha)[:, None])
    unit = jnp.eye(len(upper), dtype=upper.dtype)
    lower = jnp.linalg.cholesky(unit + upper @ gamma @ upper.T)
    inner = basis @ (lower - unit) @ basis.T + jnp.eye(len(alpha), dtype=upper.dtype)
    factor = jnp.sqrt(alpha)[:, None] * inner
    # A QR decomposition of the factor, unlike a Cholesky one of the covariance, cannot fail.
    triangle = jnp.linalg.qr(factor.T, mode="r")
    return mean, triangle.T * jnp.where(jnp.diag(triangle) < 0, -1.0, 1.0).astype(upper.dtype)
