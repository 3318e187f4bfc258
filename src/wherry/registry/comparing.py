"""What of an old form of data a new type does not read: a pure comparison of two JSON Schemas.

`compare(old, new)` asks about data that was written under `old` and is read by the type of `new`.
For what new code writes and old code reads, swap them. A writer of wherry's writes the fields of
its type and no others, so a field may be added where it has a default; unknown fields are passed
over unless the type forbids them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from msgspec import Struct, structs

from wherry.codec import canonical_json
from wherry.registry.bounds import tightened
from wherry.registry.branches import branches, fits, shown, tags_of, values_of, words
from wherry.registry.forms import Node, Schema, definitions

Code: TypeAlias = Literal[
    "added", "removed", "required", "renamed", "refused", "optional", "type", "values", "none",
    "bounds", "member", "tag", "widened",
]  # fmt: skip

_READ_AS = {"integer": ("integer", "number")}


class Change(Struct, frozen=True, kw_only=True):
    """One difference between two forms.

    Attributes:
        path: Where: `lines[].sku`, empty for the whole.
        breaks: Whether data of the old form may not be read any more.
        told: What is different, as the end of a sentence about the path.
        old, new: What stood there and stands there, in words; empty for nothing.
    """

    path: str
    code: Code
    breaks: bool
    told: str
    old: str = ""
    new: str = ""

    def __str__(self) -> str:
        return f"`{self.path}` {self.told}" if self.path else f"the whole {self.told}"


def compare(old: Schema, new: Schema) -> list[Change]:
    """Return what is different for data of the form `old` that is read by the type of `new`."""
    found = _Comparison(definitions(old), definitions(new)).nodes(old, new)
    unique = {(one.path, one.told): one for one in found}
    return sorted(unique.values(), key=lambda one: not one.breaks)


def breaking(old: Schema, new: Schema) -> list[Change]:
    """Return those differences on which data of the old form breaks."""
    return [one for one in compare(old, new) if one.breaks]


class _Comparison:
    def __init__(self, old: dict[str, Node], new: dict[str, Node]) -> None:
        self._old = old
        self._new = new
        self._done: dict[bytes, list[Change]] = {}

    def nodes(self, old: Node, new: Node) -> list[Change]:
        """Compare two schemas; paths are seen from here. What refers to itself is compared once."""
        key = canonical_json([old, new])
        if key not in self._done:
            self._done[key] = []  # while it is being compared it is taken to fit
            self._done[key] = self._compared(old, new)
        return self._done[key]

    def _compared(self, old: Node, new: Node) -> list[Change]:
        olds, news = branches(old, self._old), branches(new, self._new)
        found: list[Change] = []
        if {} not in news:
            for branch in olds:
                found += self._branch(branch, olds, news)
        before, after = words(olds), words(news)
        if not found and before != after:
            found = [_change("widened", f"was {before}, takes {after}", before, after)]
        elif not found and any(list(tightened(b, a)) for a in olds[:1] for b in news[:1]):
            found = [_change("widened", "has wider bounds", before, after)]
        return found

    def _branch(self, branch: Schema, olds: list[Schema], news: list[Schema]) -> list[Change]:
        """Compare one alternative of the old form with all of the new one."""
        values = values_of(branch)
        if values is not None:
            return _values(values, olds, news)
        kind = branch.get("type", "")
        kinds = _READ_AS.get(kind, (kind,))
        candidates = [one for one in news if "enum" not in one and one.get("type") in kinds and one]
        if not candidates:
            return [_gone(branch, olds, news)]
        if kind == "object":
            candidates, lost = _same_tags(branch, candidates, olds)
            if lost is not None:
                return [lost]
        compared = [self._alike(branch, one) for one in candidates]
        best = min(compared, key=lambda found: sum(one.breaks for one in found))
        tags = tags_of(branch)
        if len(olds) > 1 and tags:
            member = "/".join(str(value) for value in tags.values())
            return [_under(f"<{member}>", one) for one in best]
        return best

    def _alike(self, old: Schema, new: Schema) -> list[Change]:
        """Compare two alternatives of one kind."""
        found = [
            _breaks("bounds", f"now {told}", "" if was is None else shown(was), shown(bound))
            for told, was, bound in tightened(old, new)
            if not ("in items" in told and "prefixItems" in old)  # each place is looked at
        ]
        match old.get("type"):
            case "string":
                for key in ("format", "contentEncoding"):
                    if key in new and new[key] != old.get(key):
                        before, after = words([old]), words([new])
                        found.append(_breaks("type", f"was {before}, is {after}", before, after))
            case "array":
                found += self._arrays(old, new)
            case "object":
                found += self._objects(old, new)
        return found

    # -- lists -----------------------------------------------------------------------------------

    def _arrays(self, old: Schema, new: Schema) -> list[Change]:
        found: list[Change] = []
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        more = old.get("items", not before)  # whoever writes a tuple writes no more than it has
        rest = new.get("items", True)
        for at, part in enumerate(before):
            other = after[at] if at < len(after) else rest
            found += [_under(f"[{at}]", one) for one in self._part(part, other)]
        if more is not False:
            others = [*after[len(before) :], rest]
            for other in others:
                found += [_under("[]", one) for one in self._part(more, other)]
        least = old.get("minItems", 0)
        for at in range(len(before), new.get("minItems", 0)):
            if at >= least and before:
                found.append(_under(f"[{at}]", _breaks("required", "is new and has no default")))
        return found

    def _part(self, old: Node, new: Node) -> list[Change]:
        if new is False:
            return [_breaks("refused", "is refused: there is no place for it any more")]
        return self.nodes(old, new)

    # -- objects ---------------------------------------------------------------------------------

    def _objects(self, old: Schema, new: Schema) -> list[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        others = old.get("additionalProperties", "properties" not in old)
        unknown = new.get("additionalProperties", True)
        required, were = set(new.get("required", ())), set(old.get("required", ()))
        found: list[Change] = []
        lacking: list[str] = []
        fresh: list[str] = []
        for name, node in after.items():
            if name in before:
                found += [_under(_step(name), one) for one in self.nodes(before[name], node)]
                if name in required and name not in were:
                    told = "had a default and has none: it may be absent"
                    found.append(_under(_step(name), _breaks("required", told)))
                elif name in were and name not in required:
                    found.append(_under(_step(name), _change("optional", "has a default now")))
                continue
            if others is not False:
                found += [_under(_step(name), one) for one in self.nodes(others, node)]
            if name in required:
                lacking.append(name)
            elif others is False:
                fresh.append(name)
        gone = {name: node for name, node in before.items() if name not in after}
        found += self._added(lacking, gone, after)
        found += self._fresh(fresh, {} if lacking else gone, after)
        found += self._removed(gone, unknown)
        if others is not False:
            found += self._unknown(others, unknown)
        if "propertyNames" in new:
            keys = [{"type": "string", **one.get("propertyNames", {})} for one in (old, new)]
            found += [_under(".(keys)", one) for one in self.nodes(*keys)]
        return found

    def _added(
        self, lacking: list[str], gone: dict[str, Node], after: dict[str, Node]
    ) -> Iterator[Change]:
        """Yield fields that old data lacks; one alike that is gone looks like its old name."""
        for name in lacking:
            alike = self._alike_of(gone, after[name])
            said = self._said(after[name])
            if alike and len(lacking) <= len(gone):
                was = alike[0]
                told = f"is new and has no default; `{was}`, which is gone, looks like its old name"
                yield _under(_step(name), _breaks("renamed", told, f"{was}: {said}", said))
            else:
                yield _under(
                    _step(name), _breaks("required", "is new and has no default", "", said)
                )

    def _fresh(
        self, names: list[str], gone: dict[str, Node], after: dict[str, Node]
    ) -> Iterator[Change]:
        """Yield fields that are new and have a default; old data is read as if it lacked them.

        Where one alike is gone, that may be a rename: what stands under the old name is passed
        over, and no reader fails on it.
        """
        left = dict(gone)
        for name in names:
            said = self._said(after[name])
            told = f"is new and has a default{_default(after[name])}"
            alike = self._alike_of(left, after[name])
            if alike:
                del left[alike[0]]
                told += f"; `{alike[0]}`, which is gone, looks like its old name"
                change = _change("renamed", told, f"{alike[0]}: {said}", said)
            else:
                change = _change("added", told, "", said)
            yield _under(_step(name), change)

    def _alike_of(self, gone: dict[str, Node], new: Node) -> list[str]:
        """Return the fields that are gone whose values another field would take."""
        return [
            name
            for name, node in gone.items()
            if not any(one.breaks for one in self.nodes(node, new))
        ]

    def _removed(self, gone: dict[str, Node], unknown: Node) -> Iterator[Change]:
        for name, node in gone.items():
            said = words(branches(node, self._old))
            if unknown is False:
                told = "is gone, and the type refuses fields that it does not know"
                yield _under(_step(name), _breaks("refused", told, said))
            elif isinstance(unknown, dict) and unknown:
                yield from (_under(_step(name), one) for one in self.nodes(node, unknown))
            else:
                yield _under(_step(name), _change("removed", "is gone", said))

    def _unknown(self, others: Node, unknown: Node) -> list[Change]:
        """Compare the values under keys that the type does not name."""
        if unknown is False:
            told = "may hold keys that the type does not know, which it now refuses"
            return [_breaks("refused", told)]
        if unknown is True:
            return []
        return [_under(".*", one) for one in self.nodes(others, unknown)]

    def _said(self, node: Node) -> str:
        return words(branches(node, self._new))


# --- alternatives -------------------------------------------------------------------------------


def _values(values: list[Any], olds: list[Schema], news: list[Schema]) -> list[Change]:
    """Return which of a few values are not taken any more."""
    lost = [value for value in values if not any(fits(value, one) for one in news)]
    if not lost:
        return []
    before, after = words(olds), words(news)
    if lost == [None]:
        return [_breaks("none", "no longer takes None", before, after)]
    if len(lost) == len(values) and len(olds) == 1 and all("enum" not in one for one in news):
        return [_breaks("type", f"was {before}, is {after}", before, after)]
    said = ", ".join(shown(value) for value in lost)
    return [_breaks("values", f"no longer takes {said}", before, after)]


def _gone(branch: Schema, olds: list[Schema], news: list[Schema]) -> Change:
    before, after = words(olds), words(news)
    if len(olds) == 1:
        return _breaks("type", f"was {before}, is {after}", before, after)
    return _breaks("member", f"no longer takes {words([branch])}", before, after)


def _same_tags(
    branch: Schema, candidates: list[Schema], olds: list[Schema]
) -> tuple[list[Schema], Change | None]:
    """Return the alternatives that carry the old one's tag, or what became of it."""
    tags = tags_of(branch)
    shared = [
        (one, found)
        for one in candidates
        if (found := {name: value for name, value in tags_of(one).items() if name in tags})
    ]
    if not tags or not shared:
        return candidates, None
    right = [one for one, found in shared if all(tags[name] == found[name] for name in found)]
    plain = [one for one in candidates if not any(one is other for other, _ in shared)]
    if right or plain:
        return right or plain, None
    name = next(iter(shared[0][1]))
    before = shown(tags[name])
    after = " or ".join(dict.fromkeys(shown(found[name]) for _, found in shared if name in found))
    if len(olds) > 1 or len(candidates) > 1:
        return [], _breaks("member", f"no longer takes {before} (`{name}`)", before, after)
    told = f"has another tag: `{name}` was {before}, is {after}"
    return [], _breaks("tag", told, before, after)


# --- telling ------------------------------------------------------------------------------------


def _breaks(code: Code, told: str, old: str = "", new: str = "") -> Change:
    return Change(path="", code=code, breaks=True, told=told, old=old, new=new)


def _change(code: Code, told: str, old: str = "", new: str = "") -> Change:
    return Change(path="", code=code, breaks=False, told=told, old=old, new=new)


def _step(name: str) -> str:
    return f".{name}"


def _under(step: str, change: Change) -> Change:
    """Return a change as it is seen from one step above."""
    inner = change.path
    joined = step + ("." if inner and inner[0] not in ".[<" else "") + inner
    return structs.replace(change, path=joined.removeprefix("."))


def _default(node: Node) -> str:
    return f", {shown(node['default'])}" if isinstance(node, dict) and "default" in node else ""
