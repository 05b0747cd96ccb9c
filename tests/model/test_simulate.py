"""What simulating needs to know of a model: columns by label, and what reads which array."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis.model.forward_run import ForwardRun
from amortis.model.inputs import as_inputs, encode, levels_of
from amortis.model.put_back import read_by


def test_columns_by_label_are_those_of_the_inputs():
    generator = np.random.default_rng(0)
    arrays = {
        "x": jnp.asarray(generator.normal(size=(6, 2, 2)), jnp.float32),
        "x['y']": jnp.asarray(generator.normal(size=6), jnp.float32),
        "kind": jnp.asarray([3, 0, 3, 1, 0, 1]),
        "answers": jnp.asarray(generator.integers(0, 3, (6, 2))),
    }
    levels = levels_of({name: arrays[name] for name in ("kind", "answers")})
    matrix, labels = as_inputs(list(arrays.values()), list(arrays), 6, levels)
    np.testing.assert_array_equal(encode(labels, arrays, 6), matrix)
    few = ("answers[1]=2", "x[3]", "x['y']", "kind=3")
    place = [labels.index(label) for label in few]
    np.testing.assert_array_equal(encode(few, arrays, 6), matrix[:, np.asarray(place)])
    assert encode((), arrays, 6).shape == (6, 0)


def test_reading_values_counts_and_reading_shapes_does_not():
    def function(arrays):
        x, y = arrays["x"], arrays["y"]
        noise = jax.random.normal(jax.random.key(0), x.shape)
        return {"of_y": noise + jnp.where(y > 0.0, y, 0.0), "of_none": noise, "same": x}

    arrays = {"x": jnp.zeros(3), "y": jnp.ones(3)}
    assert read_by(function, arrays) == {"of_y": {"y"}, "of_none": set(), "same": {"x"}}


@pytest.mark.parametrize("inside", [False, True])
def test_a_run_draws_data_at_the_globals_given_and_leaves_masked_entries(inside):
    x = jnp.arange(12.0).reshape(4, 3)
    mask = jnp.asarray([True, False, True, False])

    def model():
        mean = numpyro.sample("mean", dist.HalfNormal(1.0))
        with numpyro.plate("rows", 4):
            z = numpyro.sample("z", dist.Normal(mean, 1e-3))
            whole = dist.Normal(z[:, None], 1e-3).expand([4, 3])
            if inside:
                masked = whole.mask(mask[:, None]).to_event(1)
                numpyro.sample("x", masked, obs=x)
            else:
                with numpyro.handlers.mask(mask=mask):
                    numpyro.sample("x", whole.to_event(1), obs=x)

    theta = {"mean": jnp.log(jnp.asarray(100.0))}
    run = ForwardRun(theta, jax.random.key(0), frozenset({"x"}), weighted=False)
    with run:
        model()
    np.testing.assert_allclose(run.values["mean"], 100.0, rtol=1e-5)
    np.testing.assert_allclose(run.values["z"], 100.0, atol=0.01)
    np.testing.assert_array_equal(run.given["x"], x)
    np.testing.assert_allclose(run.unmasked["x"], 100.0, atol=0.02)
    np.testing.assert_array_equal(run.drawn["x"][1::2], x[1::2])
    np.testing.assert_allclose(run.drawn["x"][::2], 100.0, atol=0.02)
    assert len(set(np.ravel(run.unmasked["x"]).tolist())) > 6  # every site and entry its own noise
