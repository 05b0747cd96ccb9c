"""The command line: one file per command, and what they share.

May enter: everything below. Commands read files, call the front door, and print; nothing here
computes. What goes wrong on purpose (`AmortisError`, bad usage) is one line on the error stream
and exit code 2.
"""

from amortis.cli.main import main

__all__ = ["main"]
