"""Everybody in the race has one model on one scale."""

import dataclasses
import importlib.util

import jax
import numpy as np
import pytest
from numpyro.infer.util import log_density
from racing.contestants.numpyro_density import potential
from racing.log_joints import log_joint, trial_points
from racing.reference import _marginal_ppca
from racing.tasks import TASKS

from tests.benchmarks.small_tasks import small


@pytest.mark.usefixtures("x64", "standard_promotion")
@pytest.mark.parametrize("name", TASKS)
def test_the_evaluator_has_numpyros_density(name: str) -> None:
    task, data = small(name)
    points = trial_points(task)
    energy, _ = potential(task, data, 0)
    found = [-float(energy(task.split(point))) for point in points]
    np.testing.assert_allclose(log_joint(task, data, points), found, rtol=1e-9)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the bench extra")
@pytest.mark.parametrize("name", TASKS)
def test_pytorch_has_the_evaluators_density(name: str) -> None:
    import torch
    from racing.torch_models import LOG_JOINTS

    task, data = small(name)
    points = trial_points(task)
    tensors = {n: torch.as_tensor(v) if isinstance(v, np.ndarray) else v for n, v in data.items()}
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = LOG_JOINTS[name](task.split(torch.as_tensor(points)), **tensors).numpy()
    finally:
        torch.set_default_dtype(default)
    np.testing.assert_allclose(found, log_joint(task, data, points), rtol=1e-9)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the bench extra")
@pytest.mark.parametrize("function", ["table", "encoder"])
def test_pytorchs_minibatches_have_the_networks_elbo_on_average(function: str) -> None:
    """With sds of e^-40 the ELBO is the log joint at the means, and the log sds for an entropy."""
    import torch
    from racing.contestants.pytorch_bnn import Encoder, Guide, Table, negative_elbo

    task, data = small("bnn")
    rows, codes = 4, task.local[1]
    task = dataclasses.replace(task, units=rows, local=(rows, codes))
    torch.manual_seed(0)
    x = torch.as_tensor(data["x"][:rows], dtype=torch.float32)
    inference = Table(rows, codes) if function == "table" else Encoder(x.shape[1], codes)
    guide = Guide(task.globals_, inference)
    with torch.no_grad():
        guide.mean.normal_(0.0, 0.1)
        guide.log_sd.fill_(-40.0)
        if isinstance(inference, Table):
            inference.log_sd.fill_(-40.0)
        else:
            inference.log_sd.weight.zero_()
            inference.log_sd.bias.fill_(-40.0)
        halves = [negative_elbo(guide, x, half).item() for half in torch.arange(rows).split(2)]
        point = torch.cat([guide.mean, inference(x, torch.arange(rows))[0].flatten()]).numpy()
    expected = -log_joint(task, {"x": x.numpy()}, point[None])[0] + 40.0 * task.latents
    np.testing.assert_allclose(np.mean(halves), expected, rtol=1e-6)


def test_sites_come_back_from_the_vector_in_any_order() -> None:
    task, _ = small("irt")
    point = trial_points(task)[0]
    sites = task.split(point)
    np.testing.assert_array_equal(task.join(dict(reversed(sites.items()))), point)
    np.testing.assert_array_equal(point[: task.first_local][task.places("first")], sites["first"])


@pytest.mark.usefixtures("x64", "standard_promotion")
def test_ppca_without_its_codes_is_a_multivariate_normal() -> None:
    task, data = small("ppca")
    sites = task.split(trial_points(task)[0])
    w, mu, sigma = sites["W"], sites["mu"], np.exp(sites["sigma"])
    covariance = w @ w.T + sigma**2 * np.eye(len(mu))
    off = data["x"] - mu
    expected = -0.5 * np.sum(off @ np.linalg.inv(covariance) * off)
    expected -= 0.5 * len(off) * np.linalg.slogdet(covariance)[1]
    values = {"W": w, "mu": mu, "sigma": sigma}
    _, trace = log_density(
        _marginal_ppca, (data["x"],), {}, jax.tree.map(jax.numpy.asarray, values)
    )
    np.testing.assert_allclose(trace["x"]["fn"].log_factor, expected, rtol=1e-9)
