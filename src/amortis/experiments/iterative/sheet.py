"""The experiment as a person reads it."""

import math

from amortis.experiments.iterative.figures import surface_figure, training_figure, ways_figure
from amortis.experiments.iterative.methods import ASCENT, FOLLOWED, SEMI, STANDARD, STEPS
from amortis.experiments.iterative.run import IterativeResult, MethodGap
from amortis.experiments.sheet import Sheet, Table
from amortis.report import Cell, Column

_GAIN, _NEAR = 0.5, 0.5
"""Nats per image that methods are to gain on the standard encoder, and to come near an optimum."""

_ERRORS = 2.0
"""Standard errors by which an ELBO may fall from one number of steps to a later one."""

_FEW = 10


def iterative_sheet(result: IterativeResult, name: str) -> Sheet:
    """The page of a result.

    Args:
        result: what came out.
        name: of the experiment on the command line.
    """
    size = result.size
    levels = "one level" if result.levels == 1 else "two levels"
    figures = {
        "Held-out ELBO against training time and against steps of optimisation; every method has "
        "the same decoder and budget.": training_figure(result),
        "Held-out ELBO from step to step of inference, all on the decoder of the iterative "
        "function with 5 steps: by that function, by one trained on the held decoder, and by "
        "gradient ascent; the dashed line is the mean of the images' own optima, and the band half "
        "a nat wide.": ways_figure(result),
    }
    if result.surface is not None:
        figures = {
            "The ELBO of one held-out image over the means of its two latents (Figure 1 of Marino "
            "et al.), and the gap enlarged: the encoder's output, the steps of the iterative "
            "function from there, and those of gradient ascent from the prior.": surface_figure(
                result.surface
            ),
            **figures,
        }
    return Sheet(
        name=name,
        title=f"Learning to infer: MNIST, {levels} of latents",
        what=(
            f"{size.training} binarised images to train and {size.held_out} held out; decoders "
            f"with two hidden layers of {size.width} units; every method trains for "
            f"{size.seconds:.0f} s, compilation and evaluations apart, with batches of "
            f"{size.batch}. Its best evaluation on held-out images counts, since the decoder "
            f"overfits; the last one stands beside it."
        ),
        learned=learned(result),
        tables=[_methods(result), _steps(result)],
        figures=figures,
        result=result,
    )


def learned(result: IterativeResult) -> list[str]:
    """What came out, held against what was to be shown."""
    best = {run.name: run.held_out[run.best] for run in result.runs}
    beside = [name for name in (FOLLOWED, SEMI) if name in best]
    said = [_gained(name, best[name] - best[STANDARD]) for name in beside]
    said.append(_rises(result))
    level = result.optimum - _NEAR
    steps = result.alone.reaches(level)
    ascents = [(c.reaches(level), c.name) for c in result.ascents]
    reached = sorted((count, name) for count, name in ascents if count is not None)
    least = (
        f"{reached[0][0]} ({reached[0][1]})" if reached else f"more than {result.size.most_steps}"
    )
    met = steps is not None and steps <= _FEW and (not reached or reached[0][0] > steps)
    came = (
        f"never ({result.optimum - result.alone.after(_FEW):.2f} nats after {_FEW} steps)"
        if steps is None
        else f"after {steps} steps"
    )
    said.append(
        f"The iterative function that was trained on the held decoder comes within {_NEAR} nats "
        f"per image of the own optima {came} "
        f"(bar: at most {_FEW}); gradient ascent's best of {len(result.ascents)} rules and "
        f"rates needs "
        f"{least}: {_state(met)}."
    )
    said.append(_overtaken(result))
    said += [
        f"{gap.name}: {gap.gap:.3f} ± {gap.gap_se:.3f} nats per image (± {gap.rows_se:.3f} over "
        f"images) below the images' own optima."
        for gap in result.gaps
    ]
    return said


def _overtaken(result: IterativeResult) -> str:
    """How many steps gradient ascent needs for what the learned steps come to."""
    level = result.alone.after(_FEW)
    counts = [c.reaches(level) for c in result.ascents]
    reached = [count for count in counts if count is not None]
    needs = f"{min(reached)} steps" if reached else f"more than {result.size.most_steps} steps"
    return (
        f"For the {level:.2f} nats per image that it has after {_FEW} steps, gradient ascent needs "
        f"{needs} by its best rule and rate."
    )


def _state(met: bool) -> str:
    return "met" if met else "missed"


def _gained(name: str, gain: float) -> str:
    return (
        f"{name} beside the standard encoder: {gain:+.2f} nats per held-out image (bar: "
        f"+{_GAIN}): {_state(gain >= _GAIN)}."
    )


def _rises(result: IterativeResult) -> str:
    values = result.learned.elbos
    most = max((max(values[:i]) - value for i, value in enumerate(values) if i), default=0.0)
    return (
        f"More steps at test time, up to {len(values) - 1}: the ELBO falls by at most "
        f"{max(most, 0.0):.3f} nats per image below an earlier step's, {result.learned.fall:.1f} "
        f"standard errors over images (bar: never, to {_ERRORS:g} standard errors): "
        f"{_state(result.learned.fall <= _ERRORS)}."
    )


def _methods(result: IterativeResult) -> Table:
    gaps: dict[str, MethodGap] = {gap.name: gap for gap in result.gaps}
    rows: list[list[Cell]] = []
    for run in result.runs:
        gap = gaps[run.name]
        rows.append(
            [
                run.name,
                run.iterations,
                run.compile_seconds,
                run.held_out[run.best],
                run.seconds[run.best],
                run.held_out[-1],
                run.training,
                gap.gap,
                gap.gap_se,
                gap.log_evidence,
            ]
        )
    columns = [
        Column("method"),
        Column("optimisation steps"),
        Column("compile and pace", "s", ".1f"),
        Column("best held-out ELBO", "nats per image", ".2f"),
        Column("after", "s", ".0f"),
        Column("last", "nats per image", ".2f"),
        Column("training ELBO at the best", "nats per image", ".2f"),
        Column("gap to own optima", "nats per image", ".3f"),
        Column("s.e.", "", ".3f"),
        Column("log p(x)", "nats per image", ".2f"),
    ]
    measured = (
        f"Methods. Gaps and log p(x) (importance sampling, 1000 draws) on {result.size.measured} "
        f"held-out images, each with the decoder that the method trained."
    )
    return Table(measured, columns, rows)


def _steps(result: IterativeResult) -> Table:
    shown = sorted({0, *STEPS, 3, 4, 8, 10, 20, 32, result.size.most_steps})
    curves = [result.learned, result.alone, *result.ascents]
    shown = [step for step in shown if any(step < len(curve.elbos) for curve in curves)]
    rows: list[list[Cell]] = [
        [curve.name]
        + [
            curve.elbos[step]
            if step < len(curve.elbos) and math.isfinite(curve.elbos[step])
            else None
            for step in shown
        ]
        for curve in curves
    ]
    columns = [Column("way"), *(Column(f"{step} steps", "", ".2f") for step in shown)]
    caption = (
        f"Held-out ELBO from step to step, nats per image, on {result.size.shown} images and the "
        f"decoder of '{FOLLOWED}'; their own optima are at {result.optimum:.2f}. '{ASCENT}' above "
        f"is trained with its own decoder."
    )
    return Table(caption, columns, rows)
