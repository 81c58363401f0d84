"""The command line: ``thrifty PART VERB …``."""

from thrifty.cli.app import main

__all__ = ["main"]
