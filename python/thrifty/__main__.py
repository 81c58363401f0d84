"""``thrifty`` and ``python -m thrifty``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends it as quietly as later."""
    try:
        from thrifty.cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("thrifty: error: stopped\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
