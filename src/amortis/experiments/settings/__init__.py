"""What each published experiment is: sizes, methods, the paper's optimiser, the printed values.

One TOML file per experiment, for people to read and change; `read_settings` turns it into frozen
records, and refuses what it does not know.
"""

from amortis.experiments.settings.read import parse_settings, read_settings
from amortis.experiments.settings.records import (
    NEVER,
    Expected,
    Method,
    Plan,
    Schedule,
    ScheduleName,
    Settings,
    Statement,
)

__all__ = [
    "NEVER",
    "Expected",
    "Method",
    "Plan",
    "Schedule",
    "ScheduleName",
    "Settings",
    "Statement",
    "parse_settings",
    "read_settings",
]
