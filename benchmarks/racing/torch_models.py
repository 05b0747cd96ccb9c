"""The models' log joints in PyTorch, draw by draw, on the unconstrained scale, constants kept.

Each takes sites with a leading axis of draws and returns nats, total, of shape (draws,).
"""

import math

import torch
from torch.nn.functional import leaky_relu, logsigmoid

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def normal(x, mean, sd):
    sd = torch.as_tensor(sd)
    return -0.5 * ((x - mean) / sd).square() - sd.log() - HALF_LOG_2PI


def total(terms):
    return terms.flatten(1).sum(1)


def residuals(terms):
    """Log density of N(0, 1/2), whose squares are weighed by one: nothing is multiplied."""
    return -total(terms.square()) - 0.5 * math.log(math.pi) * terms[0].numel()


def linear(q, x):
    theta, z = q["theta"][:, None], q["z"]
    return total(normal(z, 0.0, 1.0)) + total(normal(x, theta + 1.155 * z, 2.43))


def nonlinear(q, x):
    theta, z = q["theta"][:, None], q["z"]
    local = normal(z, 0.0, 1.0) + normal(x, theta + z + z * z.sin(), z.cos().exp())
    return normal(q["theta"], 0.0, 1.0) + total(local)


def saw(q, x):
    theta, z = q["theta"][:, None], q["z"]
    before = torch.cat([torch.zeros(1), x[:-1]])
    local = normal(z, before, 1.0) + normal(x, 0.75 * (theta + z), 1.0)
    return normal(q["theta"], 0.0, 1.0) + total(local)


def radon(q, log_radon, county_idx, log_uppm, floor_measure, J):
    mu, gamma, beta = (q[name][:, None] for name in ("mu", "gamma", "beta"))
    sigma, z = q["sigma"].exp()[:, None], q["z"]
    mean = z[:, county_idx - 1] + gamma * log_uppm + beta * floor_measure
    prior = sum(normal(q[name], 0.0, 10.0) for name in ("mu", "gamma", "beta"))
    prior = prior + normal(q["tau"], 0.0, 1.0) + normal(q["sigma"], 0.0, 1.0)
    locals_ = total(normal(z, mu, q["tau"].exp()[:, None]))
    return prior + locals_ + total(normal(log_radon, mean, sigma))


def irt(q, y):
    slope, step, z = q["slope"].exp(), q["step"].exp(), q["z"]
    cutpoints = torch.cat([q["first"][:, None], step], 1).cumsum(1)  # (draws, answers - 1, items)
    prior = normal(q["slope"], 0.0, 1.0) + normal(q["first"], -2.0, 2.0)
    prior = total(prior) + total(normal(q["step"], 0.0, 1.0)) + total(normal(z, 0.0, 1.0))
    at = (cutpoints[:, None] - (z[:, :, None] * slope[:, None])[:, :, None]).clamp(-40.0, 40.0)
    outer = torch.full_like(at[:, :, :1], 40.0)
    at = torch.cat([-outer, at, outer], 2)  # (draws, people, answers + 1, items)
    index = y[None, :, None].expand(len(z), -1, -1, -1)
    low, high = at.gather(2, index)[:, :, 0], at.gather(2, index + 1)[:, :, 0]
    # sigmoid(high) - sigmoid(low) = sigmoid(high) sigmoid(-low) (1 - exp(low - high))
    return prior + total(logsigmoid(high) + logsigmoid(-low) + (-(low - high).expm1()).log())


def ppca(q, x):
    prior = total(normal(q["W"], 0.0, 1.0)) + total(normal(q["mu"], 0.0, 1.0))
    prior = prior + normal(q["sigma"], 0.0, 1.0) + total(normal(q["z"], 0.0, 1.0))
    center = q["z"] @ q["W"].transpose(1, 2) + q["mu"][:, None]
    return prior + total(normal(x, center, q["sigma"].exp()[:, None, None]))


def bnn(q, x, weight=1.0):
    hidden = leaky_relu(q["z"] @ q["w1"] + q["b1"][:, None], 0.2)
    hidden = leaky_relu(hidden @ q["w2"] + q["b2"][:, None], 0.2)
    images = hidden @ q["w3"] + q["b3"][:, None]
    prior = sum(residuals(value) for name, value in q.items() if name != "z")
    codes = total(normal(q["z"], 0.0, 1.0))
    return prior + weight * (codes + residuals(x - images))


LOG_JOINTS = {
    "linear": linear,
    "nonlinear": nonlinear,
    "saw": saw,
    "radon": radon,
    "irt": irt,
    "ppca": ppca,
    "bnn": bnn,
}
