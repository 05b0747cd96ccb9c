"""`Trained`: what a fit has learned, without the data that it learned it from."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax

from amortis._types import Parameters
from amortis.fitting.record import Fit
from amortis.guide import Guide
from amortis.model import LatentModel
from amortis.objectives import AbstractObjective
from amortis.optimise import History, Status


class Trained(eqx.Module):
    r"""$q(\theta)$ and the function $f_\phi$ of a fit, which `infer` binds to new data.

    It is what `load` returns where the data of the fit are not given.

    Attributes:
        guide: the guide without contexts, which are made of data.
        variational: its fitted parameters.
        input_names: what each column of the units' own rows is, in the order they are read.
        series_names: columns of rows that units share with their neighbors; None without such.
        member_names: columns of rows that belong to groups; None without such.
        status: how the optimisation ended.
        history: the objective over time, as the optimiser saw it.
        objective: what was maximised in place of the ELBO; None where that was.
        rebind: binds the model to data; None where that is not known.
    """

    guide: Guide
    variational: Parameters
    input_names: tuple[str, ...] = eqx.field(static=True)
    series_names: tuple[str, ...] | None = eqx.field(static=True)
    member_names: tuple[str, ...] | None = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    history: History = eqx.field(static=True)
    objective: AbstractObjective | None = eqx.field(static=True, default=None)
    rebind: Callable[..., LatentModel] | None = eqx.field(static=True, default=None)

    @classmethod
    def of(cls, fitted: Fit) -> "Trained":
        """What a fit has learned.

        Args:
            fitted: any fit.
        """
        model = fitted.model
        return cls(
            guide=dataclasses.replace(fitted.guide, contexts=None, center=None, row_elbos=None),
            variational=fitted.variational,
            input_names=model.input_names,
            series_names=None if model.series is None else model.series.names,
            member_names=None if model.members is None else model.members.names,
            status=fitted.status,
            history=fitted.history,
            objective=fitted.objective,
            rebind=model.rebind,
        )

    @property
    def parameters(self) -> int:
        """Number of variational parameters, of globals and inference function together."""
        return sum(int(leaf.size) for leaf in jax.tree.leaves(self.variational))

    def __repr__(self) -> str:
        function = type(self.guide.inference).__name__
        return f"Trained({function} with {self.parameters} parameters, {self.status.name})"
