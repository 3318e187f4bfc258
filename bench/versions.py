"""What was measured, on what: for results.json."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata

import apsw

PACKAGES = (
    "wherry", "msgspec", "apsw", "httptools", "joserfc",
    "fastapi", "uvicorn", "sqlalchemy", "huey",
)  # fmt: skip


def versions() -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
        "sqlite": apsw.sqlite_lib_version(),
    }
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
