"""The page of the experiment: what is done, what came out, tables and pictures."""

from amortis.experiments.sheet import Sheet, Table
from amortis.experiments.vae.figures import gap_figure, image_figure
from amortis.experiments.vae.gap import Gap, Level
from amortis.experiments.vae.run import Pictures, VaeResult
from amortis.report import Column

_WHAT = r"""$z_n \sim N(0, I)$ and $x_n \sim \mathrm{Bernoulli}(\mathrm{decoder}(z_n))$ with
two hidden layers, fitted to binarised MNIST (test images; the last ones held out) with weights of
the decoder as point estimates and a network of two hidden layers as encoder. What parts its ELBO
from the log evidence is taken apart as Cremer, Li & Duvenaud (2018) do: what the richest family
leaves, what poorer ones cost, and what the encoder costs beside each image's own optimum.

* Log evidence: importance sampling from the encoder and from the own optima, and annealed
  importance sampling; all are lower bounds in expectation, and every second image takes the one
  that is largest over the other images.
* ± draws is the standard error for these very images, ± images that of a sample of images."""


def vae_sheet(result: VaeResult, pictures: Pictures) -> Sheet:
    """The page of `vae`.

    Args:
        result: the numbers.
        pictures: the images.
    """
    lines = range(0, len(pictures.samples), len(pictures.values))
    samples = [pictures.samples[i : i + len(pictures.values)] for i in lines]
    moved = zip(pictures.latents, pictures.traversals, strict=True)
    return Sheet(
        "vae",
        "A variational autoencoder, and what its encoder costs",
        _WHAT,
        _words(result),
        [_gap_table(gap) for gap in result.gaps],
        {
            "The inference gap in its terms": gap_figure(result.gaps),
            "Held-out images, and what the decoder makes of the means of their factors": (
                image_figure(
                    {"image": pictures.originals, "reconstruction": pictures.reconstructions}
                )
            ),
            "One latent moved from "
            f"{pictures.values[0]:g} to {pictures.values[-1]:g}, the others as the encoder has "
            "them": image_figure({f"z[{latent}]": images for latent, images in moved}),
            "Draws of the prior, decoded": image_figure(
                {" " * (i + 1): images for i, images in enumerate(samples)}
            ),
        },
        result,
    )


def _gap_table(gap: Gap) -> Table:
    columns = (
        Column("quantity"),
        Column("mean", "nats per image", ".3f"),
        Column("± draws", form=".3f"),
        Column("± images", form=".3f"),
    )
    levels = [
        *gap.estimates,
        gap.log_evidence,
        *reversed(gap.optima),
        Level("ELBO, encoder", gap.encoder.mean, gap.encoder.draws_se, gap.encoder.rows_se),
        *gap.terms,
        gap.total,
    ]
    rows = [[level.name, level.mean, level.draws_se, level.rows_se] for level in levels]
    return Table(f"On {gap.images} images.", columns, rows)


def _words(result: VaeResult) -> list[str]:
    size, likelihood = result.size, result.likelihood
    words = [
        f"{size.iterations} steps on {size.training} images: ELBO {result.training_elbo:.2f} nats "
        f"per training image, {result.held_out_elbo:.2f} per held-out image.",
        f"Log likelihood of {likelihood.images} held-out images by {likelihood.draws} draws of the "
        f"encoder: {likelihood.mean:.2f} ± {likelihood.rows_se:.2f} nats per image (ELBO "
        f"{likelihood.elbo:.2f}); {likelihood.effective:.0f} effective draws at the median, so "
        f"that it is low by more than its noise where they are few.",
    ]
    for gap in result.gaps:
        cost = gap.amortization
        words.append(
            f"{gap.images.capitalize()} images: {gap.total.mean:.2f} nats below the log evidence, "
            f"of which the family (DiagonalNormal) costs {gap.approximation:.2f} and the encoder "
            f"{cost.mean:.2f} ± {cost.rows_se:.2f}."
        )
        words.append(
            f"The terms on {gap.images} images add up to the whole {gap.closure:+.3f} ± "
            f"{gap.closure_se:.3f} nats: "
            f"{'within' if gap.adds_up else 'not within'} two standard errors."
        )
    return words
