"""The version of the library, for those who write it down."""

__version__ = "0.1.0"
