"""The style of a picture: every colour twice, for light and for dark."""

from __future__ import annotations

from collections.abc import Mapping

_LIGHT = {
    "canvas": "#ffffff",
    "card": "#ffffff",
    "panel": "#f6f7f9",
    "edge": "#c3c9d2",
    "text": "#1b2430",
    "soft": "#596575",
    "line": "#7b8696",
    "choice": "#7357d3",
    "catch": "#c2571a",
    "task": "#e4782b",
    "flow": "#4b6bfb",
    "wait": "#0d8a8f",
    "good": "#18864b",
    "bad": "#ce3434",
    "warn": "#b7791f",
    "live": "#2563eb",
    "still": "#667085",
}
_DARK = {
    "canvas": "#11161d",
    "card": "#1a212b",
    "panel": "#141a22",
    "edge": "#3b4656",
    "text": "#e8edf4",
    "soft": "#a4b0bf",
    "line": "#8592a3",
    "choice": "#b09cff",
    "catch": "#f2924f",
    "task": "#f2964e",
    "flow": "#8fa4ff",
    "wait": "#4cc4c8",
    "good": "#4cc27f",
    "bad": "#ff7a75",
    "warn": "#e5b454",
    "live": "#6ea8ff",
    "still": "#98a2b3",
}
_KINDS = {
    "task": "task",
    "choice": "choice",
    "wait": "wait",
    "pass": "still",
    "parallel": "flow",
    "map": "flow",
    "succeed": "good",
    "fail": "bad",
}
_STATUSES = {
    "succeeded": "good",
    "caught": "warn",
    "failed": "bad",
    "running": "live",
    "stopped": "still",
}
_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def _rules() -> str:
    """Return all rules; each holds within a picture alone, however it stands in a page."""
    rules = {
        "": f"font-family:{_FONT}",
        ".canvas": "fill:var(--canvas)",
        ".card": "fill:var(--card);stroke:var(--edge);stroke-width:1.25",
        ".panel": "fill:var(--panel);stroke:var(--edge);stroke-dasharray:3 3",
        ".name": "font-size:14px;font-weight:600;fill:var(--text)",
        ".detail": "font-size:12px;fill:var(--soft)",
        ".label": "font-size:12px;fill:var(--soft)",
        ".icon rect": "fill:var(--kind);opacity:.16",
        ".icon path": "fill:var(--kind)",
        ".icon .stroke": "fill:none;stroke:var(--kind);stroke-width:2;stroke-linecap:round;"
        "stroke-linejoin:round",
        ".line path": "fill:none;stroke:var(--way);stroke-width:1.5",
        ".line .head": "fill:var(--way);stroke:none",
        ".line": "--way:var(--line)",
        ".catch": "--way:var(--catch)",
        ".line.catch path": "stroke-dasharray:5 4",
        ".tag rect": "fill:var(--canvas)",
        ".tag.choice text": "fill:var(--choice)",
        ".tag.catch text": "fill:var(--catch)",
        ".begin": "fill:var(--line)",
        ".ring": "fill:none;stroke:var(--line);stroke-width:1.5",
        ".panel~.tag rect": "fill:var(--panel)",
        ".badge circle": "fill:var(--status);stroke:var(--canvas);stroke-width:2",
        ".badge path": "fill:none;stroke:var(--canvas);stroke-width:2;stroke-linecap:round;"
        "stroke-linejoin:round",
    }
    for kind, colour in _KINDS.items():
        rules[f".state.{kind}"] = f"--kind:var(--{colour})"
    for status, colour in _STATUSES.items():
        rules[f".state.{status}"] = f"--status:var(--{colour})"
        rules[f".state.{status}>.card"] = "stroke:var(--status);stroke-width:2.25"
    return "".join(f".wherry {name}{{{rule}}}" for name, rule in rules.items())


STYLE = (
    f".wherry{{{_variables(_LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{.wherry{{{_variables(_DARK)}}}}}" + _rules()
)
"""The content of a picture's style element."""
