"""The data that a model is bound to, by name, as the user gave them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_joint import NumPyroJoint
from amortis.structure import AnyArray


@dataclasses.dataclass(frozen=True)
class GivenData:
    """Arguments of a model.

    Attributes:
        arrays: arrays by name, in the dtypes they are computed with.
        plain: what else was passed, such as numbers and None, by name.
    """

    arrays: Mapping[str, AnyArray]
    plain: Mapping[str, Any]


def given_data(model: LatentModel) -> GivenData:
    """The data of a bound model, whatever way its rows are taken.

    Args:
        model: the model.

    Returns:
        Its arguments by name.
    """
    joint = model.joint()
    plain = joint.density.plain if isinstance(joint.density, NumPyroJoint) else {}
    return GivenData({**joint.arrays, **joint.constants}, plain)
