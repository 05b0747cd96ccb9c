"""Export: fits in the forms that other libraries read. Nothing is fitted or measured here."""

from amortis.export.arviz import to_arviz

__all__ = ["to_arviz"]
