"""Modules that are imported when something of them is first used."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from wherry.handles.late import Late, settle


def test_the_first_use_puts_the_module_in_its_place() -> None:
    """From then on the name is the module itself."""
    names: dict[str, Any] = {}
    names["effects"] = Late("wherry.effects", names)
    absent = names["effects"].Absent
    assert names["effects"] is sys.modules["wherry.effects"]
    assert absent is names["effects"].Absent


def test_all_are_put_in_their_places_before_a_fork() -> None:
    names: dict[str, Any] = {}
    names["ports"] = Late("wherry.ports", names)
    settle()
    assert names["ports"] is sys.modules["wherry.ports"]


def test_what_only_a_run_needs_is_not_imported_before() -> None:
    code = (
        "import sys, wherry; [getattr(wherry, name) for name in wherry.__all__]\n"
        "from wherry.handles import tables\n"
        "late = ['wherry.effects', 'wherry.ports', 'hashlib']\n"
        "print([name in sys.modules for name in late], end=' ')\n"
        "tables.effects.Absent()\n"
        "print([name in sys.modules for name in late], end='')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[False, False, False] [True, False, False]"
