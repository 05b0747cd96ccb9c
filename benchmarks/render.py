"""Write docs/benchmarks.md, docs/stopping.md and the README's table from benchmarks/results.

python benchmarks/render.py
"""

import json
from pathlib import Path
from typing import Any

import growth
import optimisers
import profile_fit
import stopping
from racing.field import MOST_OF_A_COVARIANCE
from racing.table import table as race_table
from racing.tasks import TASKS, TITLES
from rows import table

HERE = Path(__file__).parent
RESULTS, ROOT = HERE / "results", HERE.parent

PAGE = """# Benchmarks

Everything here was measured by a script in `benchmarks/` and is rendered by `python
benchmarks/render.py`; nothing is typed in by hand. Machine: {machine}. Versions: {versions}.
The environment is `make bench-env`.

## Accuracy, digits, memory, import

`cd benchmarks && ../.venv/bin/python bars.py` — 20 seeds each for the linear and nonlinear
models (N = 10 000), five for the digits. "Best known" is the best ELBO of all seeds, widths and
F-VI; ELBOs are exact (linear, digits) or by Gauss-Hermite with 64 × 5 nodes (nonlinear), never
sampled. On the data as the code has them F-VI leaves poor modes in which
networks stay: see [paper.md](paper.md).

{bars}

For comparison: in the authors' code one of ten runs diverges at k = 16 and five of ten end in
NaN at k = 32.

## The race

`make bench-env peers-env && cd benchmarks && ../.venv/bin/python race.py --plot
../docs/images/race.png` — amortis, with nothing tuned, against what people use today. Every
contestant is a process of its own on one core ({raced_on}); those with a learning rate run
at 1e-1, 1e-2 and 1e-3, and the best counts; medians over {seeds} seed(s). Training may take
{limit:g} seconds; who needs longer is "not in {limit:g} s", and ratios are then lower bounds. One
evaluator scores every q on NumPyro's unconstrained scale: closed form for linear, saw, radon and
PPCA, Gauss-Hermite for the nonlinear model, 1024 common antithetic draws for IRT and for full
covariances; of the neural network all KLs and the last layer are in closed form, and codes and
hidden layers take 32 common antithetic draws of every image's own. Before a run counts, the
contestant's log joint is compared with the evaluator's at three random points. Snapshots of q are
taken off the clock: of the peers at times that grow by 1.15 (by 1.5 for full covariances and the
neural network), so that their seconds may be as much too high; of ours after every block of steps,
in the neural network at times that grow by 1.15. Radon has no A-VI in PyTorch, whose networks read
one row each, and full covariances run where there are at most {dense} latents.

Cold counts from the launch of the process: imports, binding, compilation (PyTensor may keep its
cache of compiled code, JAX keeps none). Warm counts from the start of training with everything
compiled. The first goal is to come within 0.01 nats per unit (row, step, county, person, image) of
the best known ELBO of the factorized family and to stay there until twice the seconds, the second
the same within 0.1 posterior sd of the exact or NUTS means in every global (of PPCA without the
loadings, which are known up to a rotation). NUTS has no ELBO.

The Bayesian neural network is the paper's (283 920 weights, and 64 codes for each of the first 2000
test images of MNIST), whose optimum takes tens of thousands of steps. Its first goal is the best
ELBO that any peer has at the end of its time, so that the best peer needs all of it; there is no
second, since hidden units can change places. PyTorch takes the paper's minibatches of 1000 images
and one draw, with its networks and starts; the other peers take all images, twice the work in a
step. Where a default is
hopeless in this model the peer has what its documentation offers instead: NumPyro's guide starts
at the prior's means and PyMC's at sds of 0.1, and BlackJAX takes one draw in place of 100. NUTS is
left out: its adaptation would take hours. A fit of ours that is not over when the time is, as all
of these, is interrupted.

Lines are what a user writes, model
included (of PyTorch without the training loop); PyMC runs in its default double precision; peak is
resident memory.

![seconds to the first goal, by task and contestant](images/race.png)

Where a bar is not met, this is why, and what was tried.

* *Warm.* Linear and saw take about ten milliseconds, of which four are the host's before the first
  evaluation; starts and inputs that stay in NumPy halved them. Eight first draws for sixteen and a
  first look after four evaluations are what else was gained.
* *Cold.* A third to a half of our seconds are XLA's compiler, which eager PyTorch does without and
  which PyMC's kept C code has behind it. One compiled program for all restarts and numbers of
  draws, and arguments in place of closures, brought it down to two compilations that count; with
  JAX's persistent cache a linear fit takes 1.7 s ([speed.md](speed.md)).
* *The neural network.* Half of the steps in our ten seconds go to three trials of learning rates,
  and every step takes two draws; NumPyro, at the best of three given rates, takes one draw and no
  trial. One draw at a given rate, `FreshDraws(draws=1, rate=0.01)`, ended 9 k nats ahead of it, one
  draw with trials 35 k behind (by hand, not by this script). Trials and two draws serve fits that
  run to their end, and stay.

The cold and the warm fit are two runs with two keys, so that one may arrive where the other does
not: from one of them F-VI of the digits ends in a poorer optimum, 0.14 nats per image below, and
F-VI of the neural network is ahead of the peers only because its cold run was stopped at the end of
a block of steps, four seconds late.

{race}

## When: `check`, and what `fit` makes of its verdict

`cd benchmarks && ../.venv/bin/python check.py` — seconds of `amortis.check` in fresh processes,
after the imports, compilation included, medians of three; A-VI and F-VI on radon_all (12 573
homes, 386 counties) fitted in turn, medians of five without the compilation; NUTS with 2000
draws; the graded response model of science_irt. Data from `AMORTIS_DATA`, by default
`../shared/data`.

{check}

## Windows: `saw` and `hmm`

`cd benchmarks && ../.venv/bin/python saw_hmm.py` — the paper's time series (N = 1000, 20 seeds),
and the chain and the Gaussian process, where no window is ideal.

{windows}

## Did it work: `diagnose`, `refine`, `infer`

`cd benchmarks && ../.venv/bin/python gaps.py` — 95 % intervals of the amortization gap where it is
known in closed form or by quadrature, 100 seeds each, N = 300.

{gaps}

`cd benchmarks && ../.venv/bin/python capacity.py` — `fit(model, key=key, tolerance=1e-3)` with
nothing else chosen, 20 seeds each.

{capacity}

`cd benchmarks && ../.venv/bin/python diagnose.py` — k-hat on the nonlinear model with networks of
two and of sixteen units, beside Pareto smoothed importance sampling on 100 000 draws and what as
many other draws say; times with sixteen, N = 10 000.

{diagnose}

`cd benchmarks && ../.venv/bin/python calibration.py` — simulation-based calibration with 1000
simulations, 100 seeds; bands hold for an exact function in 95 of 100 by their definition.

{calibration}

`cd benchmarks && ../.venv/bin/python update.py` — online learning in five blocks beside a refit to
all data, and streams of new rows from a file on disk.

{update}
"""

OPTIMISERS = """
## Optimisers side by side

`cd benchmarks && ../.venv/bin/python optimisers.py` — seconds and iterations to come and stay
within {tolerance:g} nats per datum of the best known ELBO (the closed form; for the nonlinear model
the best of {seeds} default fits with the same inference function), N = {rows_of_data}, {seeds}
seeds, warm, at most {limit:g} s each. "Adam" is the paper's: `ConstantRate`, all rows, fresh draws
at every step; an iteration is one evaluation of the loss and its gradient. ELBOs are evaluated
while the clock stands still. A seed that is not there at the limit is a failure, and after two of
these the others are not run; a median or worst that is such a seed is a dash.

{table}

![Seconds to the tolerance by optimiser and seed](images/optimisers.png)
"""

GROWTH = """
## How cost grows

`cd benchmarks && ../.venv/bin/python growth.py` — rows, local dimensions and rows of each group, on
Gaussian models whose factorized optimum is known in closed form; each case in a process of its own,
at most {limit:g} s a fit. F-VI is `Table()`; A-VI is what `fit` chooses. Warm is the time to come
and stay within 0.01 nats per unit of the closed form; cold is binding, `check`, compilation and the
whole fit to its own end. Memory is the peak of the process less what it held once the libraries
were imported and the data read. One run per case: differences below a factor of 1.5 are noise. Warm
leaves out binding and `check`, which the race counts as cold.

{table}

{crossings}

A-VI by minibatches (`MLP()` and `FreshDraws()`, about 1024 rows a step). The bar asks for a time
per row that is flat: it is the warm time for each row *of a minibatch*, the order of the rows and
all looks from the host included, which is what more data cost. Beside it stands the time to the
target for each row of the data, which falls, since the number of steps does not grow with N. The
memory that does grow is about three times the data: on the device, as inputs, and standardized.

{minibatches}

![Warm seconds and memory against rows, dimensions and group size](images/growth.png)
"""

NETWORK = """
## A step of the Bayesian neural network

`cd benchmarks && ../.venv/bin/python bnn_speed.py --threads 1` — milliseconds of one step of the
paper's algorithm (Adam, one draw, batches of 1000 of {rows} images, 283 920 weights), medians, one
thread each, beside the same step in eager PyTorch; "all rows" has the factors of all rows in every
step, and those of the batch in the likelihood.

| method | who | ms per step |
|---|---|---|
{table}
"""

PROFILE = """
## Where the time goes

`cd benchmarks && ../.venv/bin/python profile_fit.py` — seconds of a fresh process from its launch
to the end of its first fit; tracing, lowering and compiling as JAX reports them.

{cold}

A second fit with another key, and its parts alone, by as many evaluations as the fit had on as many
draws. The loss is the log density and what the guide adds: the function, sampling, entropies. A
negative rest says that the search evaluates the loss faster inside its own program than alone.

{warm}

Compilations, in this order in one process: how many and how long.

{again}

{functions}

With JAX's persistent compilation cache; see [speed](speed.md).

{cached}
"""

STOPPING = """# The stopping rule, calibrated

`FreshDraws` asks `Plateau` after every block of steps whether the loss has settled at the present
learning rate. A rule that stops noisy runs too early, or never, is worse than none, so it was
calibrated on recorded traces whose true loss is known:

    cd benchmarks && ../.venv/bin/python stopping.py --out results/stopping.json
    ../.venv/bin/python render.py

{traces} traces of Adam at constant learning rates (linear and nonlinear models, probabilistic PCA;
polynomials, tables and networks; N from 500 to 10 000, batches from 64 to all rows). Beside each
block average stands the loss of the same parameters on low-noise draws of all rows. {improving}
traces were still improving by more than the tolerance ({tolerance:g} nats per datum) when the first
rule could have fired; {unstable} diverged and are left out. Machine: {machine}.
Versions: {versions}.

* *False stop*: the rule fired while more than 2 (or 5) tolerances were still to be gained at that
  rate; a share of the traces that had that much to gain.
* *Delay*: blocks from the point where less than a tolerance was left to the firing.
* *Never*: the share of settled traces in which it did not fire before the recording ended.

{tables}

What this says. Asking only whether the drop is small (a median relative change) stops four runs in
five or more too early at a loose threshold. More standard errors and more entries trade false stops
for delay; the defaults (2 standard errors, 40 entries) keep the false stops at five tolerances near
one in a hundred on these hard traces, and those are concentrated in the noisiest blocks: while the
noise of an entry is below four tolerances there was none. A false stop at one rate
costs little, because the rate is then lowered and the loss must fail to improve again before the
fit ends; the last table shows whole fits. With noise so large that the tolerance cannot be resolved
the rule does not fire and the fit ends with `ITERATIONS_EXHAUSTED`, which is what it should say.
"""

BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def main() -> None:
    """Render the page and the README's table."""
    measured, raced = _read("bars.json"), _read("race.json")
    versions = ", ".join(f"{name} {number}" for name, number in raced["versions"].items())
    (ROOT / "docs" / "benchmarks.md").write_text(
        PAGE.format(
            machine=measured["machine"],
            versions=versions,
            bars=table(measured["rows"]),
            race=race_table(raced),
            raced_on=raced["machine"],
            dense=MOST_OF_A_COVARIANCE,
            limit=raced["limit"],
            check=table(_read("check.json")["rows"]),
            windows=table(_read("saw_hmm.json")["rows"]),
            gaps=table(_read("gaps.json")["rows"]),
            capacity=table(_read("capacity.json")["rows"]),
            diagnose=table(_read("diagnose.json")["rows"]),
            calibration=table(_read("calibration.json")["rows"]),
            update=table(_read("update.json")["rows"]),
            seeds=raced["seeds"],
        )
        + _costs()
    )
    calibrated = _read("stopping.json")
    numbers = ", ".join(f"{name} {number}" for name, number in calibrated["versions"].items())
    (ROOT / "docs" / "stopping.md").write_text(
        STOPPING.format(
            traces=calibrated["traces"],
            improving=calibrated["improving"]["1"],
            unstable=calibrated["unstable"],
            tolerance=calibrated["tolerance"],
            machine=calibrated["machine"],
            versions=numbers,
            tables=stopping.report(calibrated),
        )
    )
    readme = (ROOT / "README.md").read_text()
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    (ROOT / "README.md").write_text(f"{before}{BEGIN}\n{_short(measured, raced)}\n{END}{after}")


def _short(measured: dict[str, Any], raced: dict[str, Any]) -> str:
    lines = ["| what | measured | regenerate |", "|---|---|---|"]
    wanted = {
        ("linear, Polynomial(1)", "worst ELBO short of closed form, nats total"),
        ("linear, Table", "worst ELBO short of closed form, nats total"),
        ("digits, A-VI, linear", "worst gap to the exact evidence, nats per datum"),
        ("linear, N = 1 000 000, minibatch 4096", "peak resident memory, GB"),
        ("import amortis", "seconds beyond numpyro's"),
    }
    for row in measured["rows"]:
        nonlinear = row["quantity"] == "worst shortfall of best known, nats per datum"
        if (row["what"], row["quantity"]) in wanted or nonlinear:
            lines.append(
                f"| {row['what']}: {row['quantity']} | {row['measured']:.2g} | `bars.py` |"
            )
    lines += _raced(raced)
    for row in _read("check.json")["rows"]:
        if row["bar"] is not None:
            what = f"{row['what']}: {row['quantity']}"
            lines.append(f"| {what} | {row['measured']:.3g} | `check.py` |")
    for row in _read("saw_hmm.json")["rows"]:
        if row["bar"] is not None and "default" in row["what"] and "ELBO" in row["quantity"]:
            what = f"{row['what']}: {row['quantity']}"
            lines.append(f"| {what} | {row['measured']:.2g} | `saw_hmm.py` |")
    for script in ("gaps", "capacity", "diagnose", "calibration"):
        for row in _read(f"{script}.json")["rows"]:
            if row["bar"] is not None:
                what = f"{row['what']}: {row['quantity']}"
                lines.append(f"| {what} | {row['measured']:.2g} | `{script}.py` |")
    return "\n".join(lines)


def _raced(raced: dict[str, Any]) -> list[str]:
    """Medians over the tasks, and the default's seconds in each."""
    lines = [
        f"| race, {bar['who']}, {bar['kind']}: best peer's seconds over ours, median of "
        f"{len(bar['ratios'])} tasks | {bar['median']:.3g}x | `race.py` |"
        for bar in raced["bars"]
    ]
    (ratios,) = (
        bar for bar in raced["bars"] if (bar["who"], bar["kind"]) == ("amortis A-VI", "warm")
    )
    for row in raced["rows"]:
        if row["who"] != "amortis A-VI":
            continue
        bound = "≥ " if row["task"] in ratios["at_least"] else ""
        goal = TASKS[row["task"]].goal.value
        warm, cold = (
            f"not in {raced['limit']:g} s" if row[kind] is None else f"{row[kind]:.3g}"
            for kind in ("warm", "cold")
        )
        lines.append(
            f"| race, {TITLES[row['task']]}, A-VI: seconds to {goal}, warm "
            f"(cold); best peer's over ours, warm | {warm} ({cold}); "
            f"{bound}{ratios['ratios'][row['task']]:.3g}x | `race.py` |"
        )
    return lines


def _costs() -> str:
    """The sections on optimisers, growth and the profile; those that were measured."""
    sections = ""
    if (RESULTS / "optimisers.json").exists():
        found = _read("optimisers.json")
        sections += OPTIMISERS.format(table=optimisers.table(found), **found)
    if (RESULTS / "growth.json").exists():
        found = _read("growth.json")
        sections += GROWTH.format(
            table=growth.table(found),
            crossings=growth.crossings(found),
            minibatches=growth.minibatches(found),
            limit=found["limit"],
        )
    if (RESULTS / "bnn_speed.json").exists():
        found = _read("bnn_speed.json")
        names = {"fvi": "F-VI", "avi": "A-VI, k = 64"}
        lines = [
            f"| {names[m['method']]} | {m['contestant']} | {m['ms_per_iteration']:.1f} |"
            for m in found["measured"]
        ]
        sections += NETWORK.format(rows=found["rows"], table="\n".join(lines))
    if (RESULTS / "profile_fit.json").exists():
        found = _read("profile_fit.json")
        parts = ("cold", "warm", "again", "functions", "cached")
        sections += PROFILE.format(**{name: getattr(profile_fit, name)(found) for name in parts})
    return sections


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text())


if __name__ == "__main__":
    main()
