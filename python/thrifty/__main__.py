"""``python -m thrifty`` is the command ``thrifty``."""

from thrifty.cli.app import main

main()
