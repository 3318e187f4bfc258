"""A graph as a flowchart in Mermaid's language, as GitHub, GitLab and many editors draw it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape

from wherry.drawing.graph import Block, Link, Node, Status

_SHAPES = {
    "Choice": ("{{", "}}"),
    "Wait": ("([", "])"),
    "Succeed": ("([", "])"),
    "Fail": ("([", "])"),
}
_CLASSES = {
    "begin": "fill:#7b8696,stroke:#7b8696",
    "succeeded": "stroke:#18864b,stroke-width:3px",
    "caught": "stroke:#b7791f,stroke-width:3px",
    "failed": "stroke:#ce3434,stroke-width:3px",
    "running": "stroke:#2563eb,stroke-width:3px",
    "stopped": "stroke:#667085,stroke-width:3px",
}
_ENTITY = re.compile(r"#(?=\w+;)")  # what Mermaid takes for a character's number
_LISTED = re.compile(r"(?<=^\d)(?=[.)] )|(?<=^[-+])(?= )")  # what begins a list in Markdown
_NOTHING = "\N{ZERO WIDTH SPACE}"


def flowchart(block: Block, states: Mapping[str, Status]) -> str:
    """Return the text; it ends with a newline."""
    return "\n".join(_Chart(states).lines(block)) + "\n"


class _Chart:
    def __init__(self, states: Mapping[str, Status]) -> None:
        self._states = states
        self._numbers: dict[str, str] = {}
        self._blocks = 0
        self._used: dict[str, list[str]] = {}

    def lines(self, block: Block) -> Iterator[str]:
        yield "flowchart TD"
        yield from self._block(block, "    ")
        for name, nodes in self._used.items():
            yield f"    classDef {name} {_CLASSES[name]}"
            yield f"    class {','.join(nodes)} {name}"

    def _block(self, block: Block, indent: str) -> Iterator[str]:
        self._blocks += 1
        number = self._blocks
        begin = f"begin{number}"
        yield f'{indent}{begin}((" "))'
        self._used.setdefault("begin", []).append(begin)
        for node in block.nodes:
            yield from self._node(node, indent)
        yield f"{indent}{begin} --> {self._id(block.start)}"
        for link in block.links:
            yield indent + self._link(link)
        ending = [self._id(node.name) for node in block.nodes if node.ends]
        if ending:
            yield f'{indent}end{number}(((" ")))'
            self._used["begin"].append(f"end{number}")
            yield from (f"{indent}{one} --> end{number}" for one in ending)

    def _node(self, node: Node, indent: str) -> Iterator[str]:
        id = self._id(node.name)
        told = [f"<b>{_text(node.name)}</b>", *map(_text, filter(None, node.details))]
        if node.name in self._states:
            status = self._states[node.name]
            self._used.setdefault(status, []).append(id)
            told.append(f"<i>{status}</i>")
        text = (", " if node.blocks else "<br/>").join(told)  # a box has room for one line
        if not node.blocks:
            left, right = _SHAPES.get(node.kind, ("[", "]"))
            yield f'{indent}{id}{left}"{text}"{right}'
            return
        yield f'{indent}subgraph {id}["{text}"]'
        for block in node.blocks:
            yield f'{indent}    subgraph block{self._blocks + 1}["{_text(block.title)}"]'
            yield from self._block(block, indent + " " * 8)
            yield f"{indent}    end"
        yield f"{indent}end"

    def _link(self, link: Link) -> str:
        arrow = "-.->" if link.kind == "catch" else "-->"
        label = f'|"{_text(link.label)}"|' if link.label else ""
        return f"{self._id(link.source)} {arrow}{label} {self._id(link.target)}"

    def _id(self, name: str) -> str:
        return self._numbers.setdefault(name, f"s{len(self._numbers) + 1}")


def _text(text: str) -> str:
    """Return text that is neither a mark of Mermaid's nor of HTML nor the beginning of a list."""
    shown = _LISTED.sub(_NOTHING, " ".join(text.split()), count=1)
    return escape(_ENTITY.sub(f"#{_NOTHING}", shown)).replace("&#x27;", "'")
