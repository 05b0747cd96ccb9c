"""Which function learns to take steps best: ELBOs from step to step on one decoder that is held.

python benchmarks/learned_steps.py [--only NAME] [--iterations 1000] [--long 10000] [--out FILE]

All functions are trained for a few steps of optimisation, one of them also for many; beside them
stands gradient ascent with its rates. With --kept DIR fits are kept, and found again.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import jax
import optax

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

import amortis  # noqa: E402
from amortis.experiments.binarised import binarised_mnist  # noqa: E402
from amortis.experiments.iterative.followed import ascent_curves, curve_of  # noqa: E402
from amortis.experiments.iterative.models import one_level  # noqa: E402
from amortis.experiments.iterative.sizes import IterativeSize  # noqa: E402

LATENT, WIDTH, SHOWN, LOOKS = 20, 200, 200, (1, 2, 5, 10, 16)
BLIND = {"reads_context": False}
NORMALIZED = BLIND | {"encoding": amortis.LayerNormalized()}
WIDE = NORMALIZED | {"network": amortis.MLP(500)}
CHOICES = {
    "reads image, slope and iterate": {},
    "slope and iterate": BLIND,
    "slope and iterate, LayerNormalized": NORMALIZED,
    "the same, hidden layers of 500": WIDE,
    "the same, gradients through the steps": NORMALIZED | {"through": True},
    "errors and slope": {"encoding": amortis.Errors(beside=amortis.LogSign())},
    "a learned start, LayerNormalized": NORMALIZED | {"start": amortis.MLP(WIDTH)},
    "Additive, LayerNormalized": NORMALIZED | {"gate": amortis.Additive()},
}
LONG = "LayerNormalized, hidden layers of 500, trained for long"
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
BAR, MOST_STEPS = 0.5, 64
"""Nats per image below the own optima that count as there, and how far ascent is followed."""


def kept(folder, name, function, data, make):
    """A fit from the folder, or made and put there."""
    if folder is None:
        return make()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace(' ', '_').replace(',', '')}.amortis"
    if path.exists():
        return amortis.load(path, function, data)
    made = make()
    amortis.save(made, path)
    return made


def decoder_fit(images, iterations, folder):
    """A fit of the decoder with five iterative steps."""
    key = jax.random.key(0)
    function = one_level(LATENT, WIDTH, images.training.shape[1], key)

    def make():
        return amortis.fit(
            amortis.from_numpyro(function, images.training),
            key=key,
            inference=amortis.Iterative(network=amortis.MLP(WIDTH), steps=5, draws=2),
            optimiser=amortis.ConstantRate(2e-3, iterations=iterations, batch=100),
        )

    return kept(folder, f"decoder {iterations}", function, images.training, make)


def own_optima(fitted, rows):
    """The mean ELBO of the images' own optima, in nats per image."""
    found = amortis.inference_gap(
        amortis.infer(fitted, rows),
        key=jax.random.key(1),
        families=(amortis.DiagonalNormal(),),
        importance=amortis.ImportanceSampling(draws=10),
        annealed=amortis.AnnealedImportanceSampling(temperatures=1, chains=2, leapfrog=1),
        search=amortis.RowAscent(steps=300, draws=8),
        draws=512,
    )
    return found.optima[0].mean.mean


def trained(model, choices, iterations):
    """A function of ten steps, with a rate that falls to zero."""
    falling = optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, iterations))
    optimiser = amortis.ConstantRate(
        2e-3,
        iterations=iterations,
        batch=100,
        optimizer=optax.chain(optax.scale_by_adam(), falling),
    )
    given = {"network": amortis.MLP(WIDTH), "steps": 10, "draws": 4} | choices
    function = amortis.Iterative(**given)
    return amortis.fit(model, key=jax.random.key(0), inference=function, optimiser=optimiser)


def with_draws(fitted, draws):
    """The same fit, climbing with so many draws."""
    guide = fitted.guide
    inference = dataclasses.replace(guide.inference, draws=draws)
    problems = dataclasses.replace(guide.row_elbos, draws=draws)
    return dataclasses.replace(
        fitted, guide=dataclasses.replace(guide, inference=inference, row_elbos=problems)
    )


def nearest(optimum, elbos):
    """The first step within half a nat of the optimum, or None."""
    there = [k for k, elbo in enumerate(elbos) if optimum - elbo <= BAR]
    return there[0] if there else None


def looked_at(name, fit, sets, optima):
    """Gaps to the own optima after some steps, on both sets of images, with few draws or many."""
    found = []
    for what, rows in sets.items():
        bound = amortis.infer(fit, rows)
        for draws in (4, 16):
            curve = curve_of(name, with_draws(bound, draws), max(LOOKS))
            gaps = {k: round(optima[what] - curve.elbos[k], 2) for k in LOOKS}
            line = {"function": name, "images": what, "draws": draws, "gaps": gaps}
            found.append(line | {"within_half": nearest(optima[what], curve.elbos)})
            print(found[-1], flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted([*CHOICES, LONG]), action="append")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--long", type=int, default=10_000)
    parser.add_argument("--decoder", type=int, default=1000, help="steps of the decoder's fit")
    parser.add_argument("--kept", type=Path, help="folder of fits")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    images = binarised_mnist(8000, 2000)
    fitted = decoder_fit(images, given.decoder, given.kept)
    key = jax.random.key(0)
    held = one_level(LATENT, WIDTH, images.training.shape[1], key, fitted.params)
    model = amortis.from_numpyro(held, images.training)
    sets = {"held-out": images.held_out[:SHOWN], "training": images.training[:SHOWN]}
    optima = {what: own_optima(fitted, rows) for what, rows in sets.items()}
    print(f"own optima, nats per image: {optima}", flush=True)
    looks, seconds = [], {}
    for name in given.only or [LONG, *CHOICES]:
        iterations = given.long if name == LONG else given.iterations
        started = time.perf_counter()
        fit = kept(
            given.kept,
            f"{name} {iterations}",
            held,
            images.training,
            lambda name=name, n=iterations: trained(model, CHOICES.get(name, WIDE), n),
        )
        seconds[name] = round(time.perf_counter() - started)
        print(f"{name}: {iterations} steps of optimisation, {seconds[name]} s", flush=True)
        looks += looked_at(name, fit, sets, optima)
    ascents = []
    shown = amortis.infer(fitted, sets["held-out"])
    for curve in ascent_curves(shown, IterativeSize(rates=RATES, most_steps=MOST_STEPS)):
        gaps = {k: round(optima["held-out"] - curve.elbos[k], 2) for k in (10, MOST_STEPS)}
        line = {"ascent": curve.name, "gaps": gaps}
        ascents.append(line | {"within_half": nearest(optima["held-out"], curve.elbos)})
        print(ascents[-1], flush=True)
    if given.out is not None:
        result = {
            "iterations": given.iterations,
            "long": given.long,
            "optima": optima,
            "seconds": seconds,
            "looks": looks,
            "ascents": ascents,
        }
        given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
