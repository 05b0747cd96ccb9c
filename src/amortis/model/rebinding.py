"""How a bound model is bound to other data of the same form."""

from abc import ABC, abstractmethod
from typing import Any

from amortis._errors import NonFiniteDataError
from amortis.model.argument_form import ArgumentForm
from amortis.model.arguments import Arguments
from amortis.model.latent_model import LatentModel
from amortis.model.parameter_sites import ParameterSite


class AbstractRebind(ABC):
    """Binds a model to other data; called with its arguments, it checks all that binding checks.

    Attributes:
        form: what the data looked like that the model was bound to.
        by_rows: whether data of any rows can be put in the place of others; see `refilled`.
        parameters: the `param` sites of a NumPyro model; None where they are not known yet.
    """

    form: ArgumentForm
    by_rows: bool
    parameters: tuple[ParameterSite, ...] | None = ()

    @abstractmethod
    def flatten(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Arguments with names, not looked at."""

    @abstractmethod
    def bind(self, arguments: Arguments) -> LatentModel:
        """Bind the model to arguments of the same form."""

    @abstractmethod
    def refilled(self, model: LatentModel, arguments: Arguments) -> LatentModel:
        """Put other rows in the place of a bound model's, with nothing checked or compiled again.

        Args:
            model: bound by this object.
            arguments: of the same form, with as many rows and the same other values.
        """

    def __call__(self, *args: Any, **kwargs: Any) -> LatentModel:
        """Bind the model to other data.

        Raises:
            DataError: data that cannot be bound or have another form.
            ModelError: a model that raises with them.
        """
        arguments = self.flatten(args, kwargs)
        self.form.require(arguments)
        try:
            arguments = arguments.checked()
        except NonFiniteDataError as error:
            raise NonFiniteDataError(
                f"{str(error).partition(';')[0]}; expected finite numbers in new data: drop those "
                f"rows, or call amortis.stream with missing=amortis.Missing.NAN"
            ) from error
        return self.bind(self.form.alike(arguments))
