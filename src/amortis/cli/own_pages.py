"""The experiments that write pages of their own, by their names on the command line."""

from amortis.cli.own_page import Asked, OwnPage, tell
from amortis.experiments import gaussian_vi, iterative, topics, vae
from amortis.experiments.binarised import binarised_mnist
from amortis.experiments.sheet import Sheet
from amortis.experiments.topics.sklearn_import import latent_dirichlet_allocation


def _target(asked: Asked) -> Sheet:
    size = gaussian_vi.SHORT_TARGET if asked.short else gaussian_vi.TargetSize()
    return gaussian_vi.target_sheet(gaussian_vi.run_gaussian_target(size, key=asked.key, tell=tell))


def _symmetry(asked: Asked) -> Sheet:
    size = gaussian_vi.SHORT_SYMMETRY if asked.short else gaussian_vi.SymmetrySize()
    return gaussian_vi.symmetry_sheet(gaussian_vi.run_symmetry(size, key=asked.key, tell=tell))


def _stochastic(asked: Asked) -> Sheet:
    size = gaussian_vi.SHORT_STOCHASTIC if asked.short else gaussian_vi.StochasticSize()
    return gaussian_vi.stochastic_sheet(gaussian_vi.run_stochastic(size, key=asked.key, tell=tell))


def _iterative(asked: Asked) -> Sheet:
    return _learned_steps(asked, "iterative", 1)


def _two_levels(asked: Asked) -> Sheet:
    return _learned_steps(asked, "iterative-two-levels", 2)


def _learned_steps(asked: Asked, name: str, levels: int) -> Sheet:
    short = iterative.SHORT if levels == 1 else iterative.SHORT_TWO_LEVELS
    size = short if asked.short else iterative.FULL
    images = binarised_mnist(size.training, size.held_out, asked.data)
    result = iterative.run_iterative(
        images, levels, size, key=asked.key, folder=asked.folder, tell=tell
    )
    return iterative.iterative_sheet(result, name)


def _vae(asked: Asked) -> Sheet:
    size = vae.SHORT if asked.short else vae.FULL
    images = binarised_mnist(size.training, size.held_out, asked.data)
    return vae.vae_sheet(*vae.run_vae(images, size, key=asked.key, folder=asked.folder, tell=tell))


def _topics(asked: Asked) -> Sheet:
    latent_dirichlet_allocation()  # refused before the documents are read
    corpus = topics.load_corpus(asked.data)
    return topics.topics_sheet(
        topics.run_topics(corpus, topics.SHORT, key=asked.key, folder=asked.folder, tell=tell)
    )


OWN_PAGES: dict[str, OwnPage] = {
    "gaussian-target": OwnPage(_target),
    "symmetry": OwnPage(_symmetry),
    "stochastic": OwnPage(_stochastic),
    "iterative": OwnPage(_iterative, reads=True, keeps=True),
    "iterative-two-levels": OwnPage(_two_levels, reads=True, keeps=True),
    "vae": OwnPage(_vae, reads=True, keeps=True),
    "topics": OwnPage(_topics, schedules=("short",), reads=True, keeps=True, shown=2),
}
