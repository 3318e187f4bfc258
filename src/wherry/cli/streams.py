"""Standard input, output and errors, whatever whoever starts us has left of them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def open_missing() -> None:
    """Open the null device where a stream is closed (`>&-`).

    Else the next file that is opened takes its number: what an app prints would go into it.
    """
    for fd, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, mode)  # it gets the lowest number that is free: this one
            os.set_inheritable(opened, True)
    for name, fd, way in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, way, closefd=False))


@contextmanager
def written() -> Iterator[None]:
    """Write all that is said; exit with 1 and the reason where it cannot be (a full disk)."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # who read has heard enough
        _forget_output()
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:  # of something else
            raise
        _forget_output()
        with suppress(OSError):
            print(f"wherry: the output cannot be written: {error.strerror}.", file=sys.stderr)
        sys.exit(1)


def _forget_output() -> None:
    """Let nobody try again to write what is left."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
