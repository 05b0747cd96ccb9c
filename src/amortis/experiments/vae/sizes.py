"""How much of the experiment is run."""

import dataclasses

import amortis


@dataclasses.dataclass(frozen=True)
class VaeSize:
    """Sizes of data and networks, of the training, and of what is measured.

    Attributes:
        training: images to fit.
        held_out: images not to fit.
        latent: latents of an image.
        width: units of each of the two hidden layers, of decoder and encoder.
        batch: images per step.
        iterations: steps of Adam.
        rate: learning rate.
        measured: images of each kind on which the inference gap is taken apart.
        ascent_steps: steps of Adam towards each image's own optimum.
        ascent_draws: draws of each image per step.
        ascent_rate: its first learning rate; at 0.03 flows end where they began.
        families: of the optima, from the poorest to the richest, the encoder's first.
        importance: draws of importance sampling.
        temperatures: steps of the annealed path.
        chains: annealed chains of each image.
        leapfrog: steps of each move along the path.
        weighed: held-out images for the log likelihood.
        gap_draws: draws on which all ELBOs are measured.
    """

    training: int = 8000
    held_out: int = 2000
    latent: int = 20
    width: int = 200
    batch: int = 100
    iterations: int = 5000
    rate: float = 1e-3
    measured: int = 100
    ascent_steps: int = 500
    ascent_draws: int = 8
    ascent_rate: float = 0.005
    families: tuple[amortis.DiagonalNormal | amortis.FullRank | amortis.Flow, ...] = (
        amortis.DiagonalNormal(),
        amortis.FullRank(),
        amortis.Flow(),
    )
    importance: int = 5000
    temperatures: int = 50
    chains: int = 8
    leapfrog: int = 5
    weighed: int = 200
    gap_draws: int = 512


SHORT = VaeSize()
FULL = VaeSize(
    iterations=40_000,
    measured=500,
    ascent_steps=1000,
    ascent_draws=16,
    temperatures=200,
    chains=16,
    weighed=2000,
)
