"""Who is at the command line: kept with what they change."""

from __future__ import annotations


def actor() -> str:
    """Return the name of the user who runs this."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        import os

        return f"uid {os.getuid()}"
