"""The command line. `main` is the console script `wherry`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed or something was found, 2 misused."""
    from wherry.cli.streams import open_missing, written

    open_missing()
    from wherry.cli.root import wherry

    with written():
        wherry(prog_name="wherry")
