"""How wide text will be, without a font at hand; and where to break it."""

from __future__ import annotations

_WIDTHS = {
    **dict.fromkeys("iljI.,:;'|!", 0.33),
    **dict.fromkeys(' ft()[]{}/\\"-`*', 0.4),
    **dict.fromkeys("rscJ", 0.53),
    **dict.fromkeys("mwMW@%", 0.95),
    **dict.fromkeys("ABCDEFGHKLNOPQRSTUVXYZ", 0.71),
}
_USUAL = 0.62  # of the font's size: letters, digits
_WIDE = 1.0  # East Asian characters, symbols


def width(text: str, size: float) -> float:
    """Return about how wide a line is in a sans-serif font of `size` pixels; rather too wide."""
    ems = sum(_WIDE if ord(one) >= 0x2E80 else _WIDTHS.get(one, _USUAL) for one in text)
    return ems * size


def wrap(text: str, size: float, most: float, lines: int) -> list[str]:
    """Break text into at most so many lines of at most so many pixels; what is left is `…`."""
    words = [part for word in text.split() for part in _fitting(word, size, most)]
    found: list[str] = []
    line = ""
    for number, word in enumerate(words):
        longer = f"{line} {word}" if line else word
        if not line or width(longer, size) <= most:
            line = longer
            continue
        if len(found) == lines - 1:
            return [*found, _cut(" ".join([line, *words[number:]]), size, most)]
        found.append(line)
        line = word
    return [*found, line] if line else found


def _fitting(word: str, size: float, most: float) -> list[str]:
    """Break a word that is wider than a line: behind a mark within it, else anywhere."""
    parts = []
    while width(word, size) > most:
        fits = next(
            at for at in range(len(word), 0, -1) if at == 1 or width(word[:at], size) <= most
        )
        marks = [at for at in range(fits // 2, fits) if word[at - 1] in "_-.:/"]
        at = marks[-1] if marks else fits
        parts.append(word[:at])
        word = word[at:]
    return [*parts, word]


def _cut(text: str, size: float, most: float) -> str:
    while text and width(f"{text}…", size) > most:
        text = text[:-1]
    return f"{text.rstrip()}…"
