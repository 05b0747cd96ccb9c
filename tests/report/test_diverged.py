"""A report on factors that are no numbers any more, as after a learning rate that was far off."""

import dataclasses
import json
import re

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from amortis import MLP, ConstantRate, diagnose, fit, from_numpyro, report


def model(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


def test_infinite_sds_are_said_and_drawn_without_a_warning(key, tmp_path) -> None:
    bound = from_numpyro(model, np.linspace(-1.0, 1.0, 40, dtype=np.float32))
    few = ConstantRate(1e-3, iterations=10, batch=10)
    fitted = fit(bound, key=key, inference=MLP(4), optimiser=few)
    theirs = fitted.variational["locals"]
    theirs = theirs | {"bias": theirs["bias"].at[1].set(300.0)}
    broken = dataclasses.replace(fitted, variational=fitted.variational | {"locals": theirs})
    assert np.isinf(broken.local_moments()[1]).all()
    diagnosis = diagnose(broken, key=jax.random.key(1))
    assert np.isnan(diagnosis.collapse.mutual_information)
    assert not diagnosis.collapse.active.any()
    report(broken, path=tmp_path / "report.html", diagnosis=diagnosis)
    text = (tmp_path / "report.html").read_text("utf8")
    assert "Function and optimum" in text
    places = re.findall(r'<circle cx="([^"]*)" cy="([^"]*)"', text)
    assert places and np.isfinite(np.asarray(places, float)).all()
    said = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
    assert said["collapse"]["mutual_information_nats"] is None
