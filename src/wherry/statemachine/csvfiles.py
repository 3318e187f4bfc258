"""Text files with delimiters, read by the rules that AWS documents for a distributed Map."""

from __future__ import annotations

from collections.abc import Iterator


def rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the records of a file as texts; an empty line is none.

    In double quotes delimiters and newlines are text, and a quote is doubled. A backslash escapes
    itself, a quote and the delimiter; before anything else it is left out.
    """
    row: list[str] = []
    field: list[str] = []
    quoted = touched = False
    at, end = 0, len(text)
    while at < end:
        mark = text[at]
        at += 1
        if mark == "\\":
            if at < end and text[at] in ("\\", '"', delimiter):
                field.append(text[at])
                at += 1
            touched = True
        elif mark == '"':
            if quoted and at < end and text[at] == '"':
                field.append('"')
                at += 1
            elif quoted:
                quoted = False
            elif not "".join(field).strip():
                field.clear()
                quoted = touched = True
            elif at < end and text[at] == '"':
                field.append('"')
                at += 1
            else:
                field.append('"')
        elif quoted:
            field.append(mark)
        elif mark == delimiter:
            row.append("".join(field))
            field.clear()
            touched = True
        elif mark in "\r\n":
            if mark == "\r" and at < end and text[at] == "\n":
                at += 1
            if field or touched:
                yield [*row, "".join(field)]
            row, touched = [], False
            field.clear()
        else:
            field.append(mark)
    if field or touched:
        yield [*row, "".join(field)]
