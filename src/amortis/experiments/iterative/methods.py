"""The methods that are compared, with one decoder and one budget."""

import dataclasses

import amortis
from amortis.experiments.iterative.sizes import IterativeSize

STANDARD, SEMI, ASCENT = "standard", "semi-amortized", "gradient ascent"
STEPS = (1, 2, 5, 16)
FOLLOWED = "iterative, 5 steps"
"""The method whose steps are followed, and whose decoder the others climb on."""


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to infer.

    Attributes:
        name: of the method.
        inference: the inference function.
        rate: learning rate of Adam.
    """

    name: str
    inference: amortis.MLP | amortis.Iterative | amortis.GradientAscent
    rate: float


def methods(size: IterativeSize) -> tuple[Method, ...]:
    """All that are not left out, in the order in which they are shown."""
    network = amortis.MLP(size.width)
    iterated = [
        Method(
            f"iterative, {steps} step{'s' if steps > 1 else ''}",
            amortis.Iterative(network=network, steps=steps, draws=size.draws),
            2e-3,
        )
        for steps in STEPS
    ]
    rule, draws = amortis.AdamSteps(0.05), size.draws
    semi = amortis.GradientAscent(rule=rule, steps=5, start=network, draws=draws)
    ascent = amortis.GradientAscent(rule=rule, steps=20, draws=draws)
    every = (
        Method(STANDARD, network, 1e-3),
        *iterated,
        Method(SEMI, semi, 1e-3),
        Method(ASCENT, ascent, 1e-3),
    )
    return tuple(method for method in every if method.name not in size.without)
