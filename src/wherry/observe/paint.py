"""Colours for a terminal, and text that cannot command one."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Style: TypeAlias = Literal["strong", "dim", "good", "bad", "warn", "plain"]

_CODES: dict[Style, str] = {
    "strong": "1",
    "dim": "2",
    "good": "32",
    "bad": "31",
    "warn": "33",
}
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
del _CONTROL[ord("\n")], _CONTROL[ord("\t")]
_CONTROL_IN_LINE = {**_CONTROL, ord("\n"): "\\n", ord("\t"): " "}


class Paint(Struct, frozen=True):
    """Paints text where `on`; else gives it back as it is."""

    on: bool = False

    def __call__(self, style: Style, text: str) -> str:
        """Return `text` in a style."""
        code = _CODES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and code and text else text


PLAIN = Paint()


def in_line(text: str, most: int = 0) -> str:
    """Return text for one line: control characters are shown, not sent to the terminal.

    With `most`, at most that many characters.
    """
    shown = text.translate(_CONTROL_IN_LINE)
    return shown[: most - 1] + "…" if 0 < most < len(shown) else shown


def in_lines(text: str) -> list[str]:
    """Return text as lines, with control characters shown."""
    return text.translate(_CONTROL).split("\n")
