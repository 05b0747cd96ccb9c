"""A variational autoencoder of binarised digits, and what its encoder and its family cost.

May enter: models of images with one level of latents. Uses the front door only, as a user would.
"""

from amortis.experiments.vae.pages import vae_sheet
from amortis.experiments.vae.run import VaeResult, run_vae
from amortis.experiments.vae.sizes import FULL, SHORT, VaeSize

__all__ = ["FULL", "SHORT", "VaeResult", "VaeSize", "run_vae", "vae_sheet"]
