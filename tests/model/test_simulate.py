"""What simulating needs to know of a model: columns by label, and what reads which array."""

import jax
import jax.numpy as jnp
import numpy as np

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
