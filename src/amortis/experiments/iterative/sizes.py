"""How much of the experiment is run."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class IterativeSize:
    """Sizes of data, networks, and budgets.

    Attributes:
        training: images to fit.
        held_out: images not to fit.
        latent: latents of an image, at its only level or the lower of two.
        upper: latents of the upper level.
        width: hidden units of both hidden layers of a decoder, and of the networks of inference.
        batch: images per step.
        seconds: what each method may train, compilation apart.
        checkpoints: evaluations on held-out images meanwhile.
        draws: of the ELBOs that are climbed.
        measured: held-out images whose own optima are found.
        shown: held-out images on which ELBOs are followed from step to step.
        alone: optimisation steps of the function that is trained on a held decoder.
        alone_width: units of both of its hidden layers.
        alone_draws: draws of the ELBOs that it climbs.
        alone_steps: its steps of inference in training.
        most_steps: how far they are followed.
        rates: learning rates of gradient ascent.
        surface_seconds: training of the model with two latents whose surface is drawn.
        without: names of methods that are left out.
    """

    training: int = 8000
    held_out: int = 2000
    latent: int = 20
    upper: int = 10
    width: int = 200
    batch: int = 100
    seconds: float = 60.0
    checkpoints: int = 8
    draws: int = 2
    measured: int = 100
    shown: int = 200
    alone: int = 3000
    alone_width: int = 500
    alone_draws: int = 4
    alone_steps: int = 10
    most_steps: int = 64
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)
    surface_seconds: float = 20.0
    without: tuple[str, ...] = ()

    @property
    def fitted(self) -> "IterativeSize":
        """The same but for what is only measured on fits, so that they are found again."""
        return dataclasses.replace(
            self, measured=0, shown=0, most_steps=0, rates=(), surface_seconds=0.0, without=()
        )


SHORT = IterativeSize()
SHORT_TWO_LEVELS = dataclasses.replace(SHORT, alone=1500)
"""Both within twenty minutes on two cores."""

FULL = IterativeSize(
    seconds=600.0, checkpoints=20, measured=500, shown=500, alone=30000, surface_seconds=60.0
)
