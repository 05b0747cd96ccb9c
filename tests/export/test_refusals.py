"""What a guide cannot do is refused in one line."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers, optim
from numpyro.infer import SVI, Trace_ELBO

from amortis import (
    ArgumentError,
    AutoAmortizedNormal,
    DataError,
    Fit,
    History,
    Point,
    Polynomial,
    Status,
    Table,
    from_density,
    from_numpyro,
    params_of,
)
from amortis._errors import NoLocalPlateError
from amortis.export.binding import require_normal
from amortis.families import DiagonalNormal
from amortis.guide import Guide
from tests.export import models

KEY = jax.random.key(2)
ARGS = (jnp.asarray(models.numbers(12)), 0.8, 1.1)


def unfitted(bound, inference, globals_=DiagonalNormal()):  # noqa: B008
    """A fit that no optimiser has touched."""
    guide = Guide.for_model(bound, inference, globals_, DiagonalNormal())
    history = History(np.zeros(0), np.zeros(0), (), ())
    return Fit(bound, guide, guide.init(KEY), Status.ITERATIONS_EXHAUSTED, history)


@pytest.fixture(scope="module")
def linear():
    return from_numpyro(models.subsampled, *ARGS)


@pytest.fixture(scope="module")
def line(linear):
    fitted = unfitted(linear, Polynomial(1))
    return AutoAmortizedNormal.from_fit(fitted), params_of(fitted)


def test_choices_that_do_not_fit():
    for choices, words in (
        ({"inference": lambda x: x}, r"expected an object such as amortis\.MLP\(\): if it is"),
        ({"init_scale": 0.0}, "init_scale is 0.0; expected a positive number"),
    ):
        with pytest.raises(ArgumentError, match=words) as refused:
            AutoAmortizedNormal(models.subsampled, **choices)
        assert "\n" not in str(refused.value)
    with pytest.raises(ArgumentError, match=r"locals_ is Point\(\); expected DiagonalNormal\(\):"):
        require_normal("locals_", Point(), (DiagonalNormal,))


@pytest.mark.filterwarnings("ignore:Cannot generate JAX PRNG key")
def test_a_first_call_without_values_and_none_at_all():
    guide = AutoAmortizedNormal(models.subsampled, inference=Polynomial(1))
    svi = SVI(models.subsampled, guide, optim.Adam(0.1), Trace_ELBO())
    with pytest.raises(ArgumentError, match=r"first called inside a compiled .*call svi\.init"):
        jax.jit(lambda x: svi.init(KEY, x, 0.8, 1.1).rng_key)(ARGS[0])
    with pytest.raises(ArgumentError, match="the guide has seen no data yet"):
        guide.median({})
    with pytest.raises(ArgumentError, match="called without a random key"):
        guide(*ARGS)


def test_a_model_without_locals():
    def model(x):
        mean = numpyro.sample("mean", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", x.shape[0]):
            numpyro.sample("x", dist.Normal(mean, 1.0), obs=x)

    guide = AutoAmortizedNormal(model)
    with pytest.raises(NoLocalPlateError, match="without locals use NumPyro's AutoNormal"):
        handlers.seed(guide, 0)(ARGS[0])


def test_calls_with_other_data(line, linear):
    guide, params = line
    with pytest.raises(ArgumentError, match=r"params has no entries; expected 'auto_globals'"):
        guide.median({}, *ARGS)
    with pytest.raises(DataError, match=r"reads 'x', which this call leaves out; .*pass x="):
        guide_without(guide, params)
    table = unfitted(linear, Table())
    with pytest.raises(ArgumentError, match=r"Table\(\), a factor for each of the 12 units .* 5;"):
        AutoAmortizedNormal.from_fit(table).median(params_of(table), ARGS[0][:5], 0.8, 1.1)


def guide_without(guide, params):
    """A call without data, as it is made for predictions."""
    guide.model = lambda x, tau, sigma: models.subsampled(jnp.zeros(3), tau, sigma)
    try:
        guide.median(params, None, 0.8, 1.1)
    finally:
        guide.model = models.subsampled


def test_other_columns_and_categories():
    x, kind = models.numbers(14, 2), models.groups_of(14, 3)
    fitted = unfitted(from_numpyro(models.categorical, x, kind), Polynomial(1))
    guide, params = AutoAmortizedNormal.from_fit(fitted), params_of(fitted)
    assert guide.median(params, x[:3], kind[:3])["z"].shape == (3,)
    with pytest.raises(DataError, match=r"data 'x' has 1 columns, but .* reads 2"):
        guide.median(params, x[:, :1], kind)
    with pytest.raises(DataError, match="category kind=7, which was not among"):
        guide.median(params, x, np.full(14, 7))


def test_fits_that_are_no_numpyro_models():
    def log_local(theta, z, x):
        return -0.5 * (z["z"] ** 2 + (x - z["z"] - theta["m"]) ** 2)

    bound = from_density(
        lambda theta: -0.5 * theta["m"] ** 2,
        log_local,
        ARGS[0],
        globals_={"m": ()},
        locals_={"z": ()},
    )
    with pytest.raises(ArgumentError, match="no NumPyro model; expected one made by from_numpyro"):
        AutoAmortizedNormal.from_fit(unfitted(bound, Polynomial(1), Point()))
