import dataclasses

import jax.numpy as jnp
import numpy as np

from amortis import Estimate, from_numpyro
from amortis.cli.summary import describe_fit, describe_model
from amortis.optimise import History
from tests.report.small_fit import data, model, small_fit

MOMENTS = {
    "mu": (np.array([1.0, -2.0]), np.array([0.25, 0.5])),
    "sigma": (np.array(0.125), np.array(0.0625)),
}


def test_the_model_is_described_as_it_was_understood() -> None:
    bound = from_numpyro(model, data())
    assert describe_model(bound, "m.py:model", ["x"], ["y", "w"]).split("\n") == [
        "model    m.py:model",
        "data     x (unused: y, w)",
        "rows     30, along 'rows'",
        "globals  mu (2), sigma",
        "locals   z, for each row",
        "inputs   x (2 columns)",
    ]


def test_the_fit_is_described_with_units() -> None:
    fit = small_fit()
    history = History(np.array([0.5]), np.array([-3.0]), np.array([32]), np.array([480]))
    fit = dataclasses.replace(fit, history=history)
    assert describe_fit(fit, Estimate(-90.0, 0.6), MOMENTS, 61.0).split("\n") == [
        "",
        f"status    {fit.status.name}: {fit.status.value}",
        "ELBO      -90.00 ± 0.60 nats, total (-3 ± 0.02 nats per datum)",
        "function  Polynomial, 12 parameters in all",
        "time      1 min 01 s, compilation included; 480 iterations, 32 draws",
        "",
        "global   mean      sd",
        "------  -----  ------",
        "mu[0]       1    0.25",
        "mu[1]      -2     0.5",
        "sigma   0.125  0.0625",
    ]


def test_large_globals_are_cut_and_points_have_no_sd() -> None:
    fit = small_fit(point=True)
    large = MOMENTS | {"mu": (np.arange(100.0), np.zeros(100))}
    lines = describe_fit(fit, Estimate(-90.0, 0.6), large, 1.0).split("\n")
    assert [line.split() for line in lines[6:]] == [
        ["global", "point", "estimate", "sd"],
        ["-----------", "--------------", "--"],
        *[[f"mu[{i}]", str(i), "–"] for i in range(4)],
        ["mu:", "96", "more", "–", "–"],
        ["sigma", "0.125", "–"],
    ]


def test_weights_of_networks_are_counted_and_not_shown() -> None:
    fit = small_fit(point=True)
    searched = dataclasses.replace(fit.model, starts={"mu": jnp.zeros(100)})
    large = MOMENTS | {"mu": (np.arange(100.0), np.zeros(100))}
    fit = dataclasses.replace(fit, model=searched)
    lines = describe_fit(fit, Estimate(-90.0, 0.6), large, 1.0).split("\n")
    assert [line.split() for line in lines[8:]] == [
        ["mu:", "100", "values", "–", "–"],
        ["sigma", "0.125", "–"],
    ]
