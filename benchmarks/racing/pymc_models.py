"""The models in PyMC, whose default transform of a positive variable is the logarithm too."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

ANSWERS, CODES = 4, 8


def linear(x):
    with pm.Model() as model:
        theta = pm.Flat("theta")
        z = pm.Normal("z", 0.0, 1.0, shape=len(x))
        pm.Normal("x", theta + 1.155 * z, 2.43, observed=x)
    return model


def nonlinear(x):
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        z = pm.Normal("z", 0.0, 1.0, shape=len(x))
        pm.Normal("x", theta + z + z * pt.sin(z), pt.exp(pt.cos(z)), observed=x)
    return model


def saw(x):
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        z = pm.Normal("z", np.append(0.0, x[:-1]), 1.0, shape=len(x))
        pm.Normal("x", 0.75 * (theta + z), 1.0, observed=x)
    return model


def radon(log_radon, county_idx, log_uppm, floor_measure, J):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 10.0)
        gamma = pm.Normal("gamma", 0.0, 10.0)
        beta = pm.Normal("beta", 0.0, 10.0)
        tau = pm.LogNormal("tau", 0.0, 1.0)
        sigma = pm.LogNormal("sigma", 0.0, 1.0)
        z = pm.Normal("z", mu, tau, shape=J)
        mean = z[county_idx - 1] + gamma * log_uppm + beta * floor_measure
        pm.Normal("y", mean, sigma, observed=log_radon)
    return model


def irt(y):
    people, items = y.shape
    with pm.Model() as model:
        slope = pm.LogNormal("slope", 0.0, 1.0, shape=items)
        first = pm.Normal("first", -2.0, 2.0, shape=items)
        step = pm.LogNormal("step", 0.0, 1.0, shape=(ANSWERS - 2, items))
        cutpoints = first + pt.concatenate([pt.zeros((1, items)), pt.cumsum(step, axis=0)])
        z = pm.Normal("z", 0.0, 1.0, shape=people)
        pm.OrderedLogistic(
            "y", eta=z[:, None] * slope, cutpoints=cutpoints.T, observed=y, compute_p=False
        )
    return model


def ppca(x):
    rows, columns = x.shape
    with pm.Model() as model:
        loadings = pm.Normal("W", 0.0, 1.0, shape=(columns, CODES))
        mean = pm.Normal("mu", 0.0, 1.0, shape=columns)
        noise_sd = pm.LogNormal("sigma", 0.0, 1.0)
        z = pm.Normal("z", 0.0, 1.0, shape=(rows, CODES))
        pm.Normal("x", z @ loadings.T + mean, noise_sd, observed=x)
    return model


def bnn(x):
    rows, columns = x.shape
    sd = 0.5**0.5
    with pm.Model() as model:
        hidden = pm.Normal("z", 0.0, 1.0, shape=(rows, 64))
        for i, (m, n) in enumerate([(64, 256), (256, 256), (256, columns)], start=1):
            w = pm.Normal(f"w{i}", 0.0, sd, shape=(m, n))
            b = pm.Normal(f"b{i}", 0.0, sd, shape=n)
            hidden = hidden @ w + b
            if i < 3:
                hidden = pt.maximum(hidden, 0.2 * hidden)
        pm.Normal("x", hidden, sd, observed=x)
    return model


MODELS = {
    "linear": linear,
    "nonlinear": nonlinear,
    "saw": saw,
    "radon": radon,
    "irt": irt,
    "ppca": ppca,
    "bnn": bnn,
}
