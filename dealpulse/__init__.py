"""The command line, the configuration, and the embedded stack."""

__version__ = "0.1.0"
