"""Every bad input is refused by a named exception of one line that names what is wrong."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import _errors as errors
from amortis import from_density, from_numpyro
from tests.model.zoo import Column, plain

X = np.linspace(-1.0, 1.0, 20, dtype=np.float32)


def refused(kind, pattern, call):
    """The exception, after its kind, message and single line were checked."""
    with pytest.raises(kind, match=pattern) as caught:
        call()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return caught.value


def spoiled(value, *where, shape=(20,)):
    array = np.zeros(shape, np.float32)
    array[where] = value
    return array


@pytest.mark.parametrize(
    ("data", "pattern"),
    [
        (spoiled(np.nan, 7), r"data 'x' has nan first in row 7 \(1 such values\); expected finite"),
        (spoiled(np.inf, 3, 1, shape=(5, 2)), r"data 'x' has inf first in row 3"),
        (spoiled(-np.inf, slice(4, 9)), r"data 'x' has -inf first in row 4 \(5 such values\)"),
        (Column(spoiled(np.nan, 2)), r"data 'x' has nan first in row 2"),
        (jnp.asarray(spoiled(np.nan, 19)), r"data 'x' has nan first in row 19"),
    ],
)
def test_values_that_are_not_finite(data, pattern):
    refused(errors.NonFiniteDataError, pattern, lambda: from_numpyro(plain, data, 1.0))


def test_the_array_that_is_not_finite_is_named_inside_a_dictionary_and_as_a_keyword():
    def model(data, sd):
        plain(data["x"], sd)

    refused(
        errors.NonFiniteDataError,
        r"data \"data\['x'\]\" has nan first in row 1",
        lambda: from_numpyro(model, {"x": spoiled(np.nan, 1)}, sd=1.0),
    )
    refused(
        errors.NonFiniteDataError,
        r"data 'sd' has nan first in row 5",
        lambda: from_numpyro(plain, X, sd=spoiled(np.nan, 5)),
    )
    refused(
        errors.NonFiniteDataError,
        r"data 'sd' has inf first in its only value",
        lambda: from_numpyro(plain, X, sd=np.float32(np.inf)),
    )


@pytest.mark.parametrize(
    ("data", "pattern"),
    [
        (np.zeros(0, np.float32), r"data 'x' is empty, shape \(0,\); expected at least one row"),
        (np.zeros((0, 3), np.float32), r"data 'x' is empty, shape \(0, 3\)"),
        (np.zeros((4, 0), np.float32), r"data 'x' is empty, shape \(4, 0\)"),
        (np.array([1.0, None], object), r"data 'x' has dtype object; expected numbers.*astype"),
        (np.array(["a", "b"]), r"data 'x' has dtype <U1; expected numbers"),
        (Column(np.array([1, "a"], object)), r"data 'x' has dtype object"),
        (np.array(["2020-01-01"], "datetime64[D]"), r"data 'x' has dtype datetime64"),
        (np.ones(3, np.complex64), r"data 'x' has dtype complex64"),
    ],
)
def test_arrays_that_hold_no_numbers(data, pattern):
    refused(errors.DataError, pattern, lambda: from_numpyro(plain, data, 1.0))


def test_unequal_leading_lengths():
    refused(
        errors.UnequalLengthsError,
        r"unequal leading lengths \(x has 20, sd has 19\).*align the arrays",
        lambda: from_numpyro(plain, X, np.ones(19, np.float32)),
    )
    refused(
        errors.UnequalLengthsError,
        r"leading lengths: data\[0\] has 20, data\[1\] has 19",
        lambda: _by_hand(data=(X, X[:19])),
    )


def test_no_local_plate():
    error = refused(
        errors.NoLocalPlateError,
        r"local='zz' is neither a latent site nor a plate.*\['theta', 'z'\] in plates \['rows'\]",
        lambda: from_numpyro(plain, X, 1.0, local="zz"),
    )
    assert isinstance(error, errors.ModelError)


def test_a_discrete_latent():
    def mixture(x):
        with numpyro.plate("rows", x.shape[0]):
            k = numpyro.sample("k", dist.Bernoulli(0.5))
            numpyro.sample("x", dist.Normal(k.astype(float), 1.0), obs=x)

    refused(
        errors.DiscreteLatentError,
        r"latent site 'k' \(Bernoulli.*\) is discrete; expected a continuous latent: sum it out",
        lambda: from_numpyro(mixture, X),
    )


def test_a_latent_without_support():
    class Nowhere(dist.Distribution):
        support = None

        def log_prob(self, value):
            return jnp.zeros(())

    def model(x):
        theta = numpyro.sample("theta", Nowhere())
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    refused(
        errors.ImproperSupportError,
        r"latent site 'theta' \(Nowhere\) has no support; give it one",
        lambda: from_numpyro(model, X),
    )


def test_a_parameter_without_a_value():
    def with_parameter(x):
        numpyro.param("scale", ())
        plain(x, 1.0)

    refused(
        errors.UnsupportedSiteError,
        r"param site 'scale' holds no array; expected a value to start from",
        lambda: from_numpyro(with_parameter, X),
    )


def test_locals_in_crossed_plates():
    def crossed(x):
        rows = numpyro.plate("rows", x.shape[0], dim=-2)
        columns = numpyro.plate("columns", x.shape[1], dim=-1)
        with rows:
            u = numpyro.sample("u", dist.Normal(jnp.zeros(()), 1.0))
        with columns:
            v = numpyro.sample("v", dist.Normal(jnp.zeros(()), 1.0))
        with rows, columns:
            w = numpyro.sample("w", dist.Normal(u + v, 1.0))
            numpyro.sample("x", dist.Normal(w, 1.0), obs=x)

    refused(
        errors.CrossedPlatesError,
        r"plates 'rows' and 'columns', which cross at site 'w'.*pass local='rows'",
        lambda: from_numpyro(crossed, np.zeros((5, 4), np.float32)),
    )


def test_two_plates_of_the_datas_length():
    def ambiguous(x, y):
        for name, data in (("a", x), ("b", y)):
            with numpyro.plate(name, data.shape[0]):
                z = numpyro.sample(f"z_{name}", dist.Normal(jnp.zeros(()), 1.0))
                numpyro.sample(f"x_{name}", dist.Normal(z, 1.0), obs=data)

    refused(
        errors.AmbiguousPlateError,
        r"latents are drawn in 2 plates with data, 'a' and 'b'.*pass local='a'",
        lambda: from_numpyro(ambiguous, X, X),
    )


def test_a_size_that_is_written_into_the_model():
    def fixed(x):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", 20):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    error = refused(
        errors.SlicingError,
        r"could not be run on 7 of its 20 rows.*write numpyro.plate\('rows', x.shape\[0\]\)",
        lambda: from_numpyro(fixed, X),
    )
    assert error.__cause__ is not None


def test_data_that_the_model_closes_over():
    def closed():
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", 20):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=X)

    refused(
        errors.SlicingError,
        r"no data array has 20 rows, the size of 'rows'.*pass them to from_numpyro",
        lambda: from_numpyro(closed),
    )


def test_rows_that_differ_in_what_is_no_data():
    sd = jnp.linspace(1.0, 2.0, 20)

    def hidden(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, sd[: x.shape[0]]), obs=x)

    refused(
        errors.SlicingError,
        r"row \d+ has another log density among \d+ rows than among all.*pass per-row constants",
        lambda: from_numpyro(hidden, X),
    )


def test_a_log_density_that_is_minus_infinity_at_the_start():
    def model(x):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            numpyro.sample("x", dist.Uniform(z * 0.0, 1.0), obs=x)

    refused(
        errors.NonFiniteDensityError,
        r"log density of site 'x' is -inf at the start, first at index \(0,\)",
        lambda: from_numpyro(model, X),
    )


def test_a_log_density_that_is_nan_at_the_start():
    def model(x):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            numpyro.sample("x", dist.Normal(z, theta - 1.0), obs=x)

    refused(
        errors.NonFiniteDensityError,
        r"log density of site 'x' is nan at the start",
        lambda: from_numpyro(model, X),
    )
    refused(
        errors.NonFiniteDensityError,
        r"log density of site 'log_local' is nan at the start, first at index \(0,\)",
        lambda: _by_hand(log_local=lambda theta, z, x: jnp.sqrt(-1.0 + 0.0 * z["z"]) + 0.0 * x),
    )


def test_a_model_that_raises_keeps_its_traceback():
    def model(x):
        raise KeyError("a line\nand another")

    error = refused(
        errors.ModelRaisedError,
        r"the model raised KeyError when it was run on its data",
        lambda: from_numpyro(model, X),
    )
    cause = error.__cause__
    assert isinstance(cause, KeyError)
    names = []
    traceback = cause.__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names[-1] == "model"


def test_densities_by_hand_that_raise_or_have_a_shape(monkeypatch):
    def broken(theta, z, x):
        raise RuntimeError("first line\nsecond")

    error = refused(
        errors.ModelRaisedError,
        r"log_prior or log_local raised RuntimeError on its data: first line$",
        lambda: _by_hand(log_local=broken),
    )
    assert isinstance(error.__cause__, RuntimeError)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    refused(
        errors.ModelRaisedError,
        r"log_prior gave shape \(\) and log_local \(2,\); expected scalars, for one datum",
        lambda: _by_hand(log_local=lambda theta, z, x: jnp.ones(2) * z["z"]),
    )
    refused(errors.DataError, r"data hold 'text'", lambda: _by_hand(data=(X, "text")))


def _by_hand(**changes):
    arguments = {
        "log_prior": lambda theta: -0.5 * theta["mu"] ** 2,
        "log_local": lambda theta, z, x: -0.5 * (x - z["z"]) ** 2 - 0.5 * z["z"] ** 2,
        "data": X,
        "globals_": {"mu": ()},
        "locals_": {"z": ()},
    } | changes
    return from_density(
        arguments.pop("log_prior"), arguments.pop("log_local"), arguments.pop("data"), **arguments
    )


def test_every_named_exception_has_the_same_root():
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, Exception)]
    assert len(kinds) > 10
    assert all(issubclass(kind, errors.AmortisError) for kind in kinds)


def test_nothing_is_left_in_double_precision_by_a_check():
    from_numpyro(plain, X, 1.0)
    assert not jax.config.jax_enable_x64


def test_a_model_that_raises_without_a_word_is_named_by_its_line():
    def silent(x):
        raise ValueError

    refused(
        errors.ModelRaisedError,
        r"raised ValueError .*: `raise ValueError`, line \d+ of test_bad_input.py$",
        lambda: from_numpyro(silent, X),
    )
