"""What of an app's types does not read what is recorded, who breaks on it, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from wherry.blueprint.parts import Finding
from wherry.blueprint.records import Blueprint
from wherry.codec import field_key
from wherry.handles.shapes import to_json
from wherry.registry.comparing import Change, breaking, compare
from wherry.registry.examples import examples_of
from wherry.registry.folder import Form, Key, Recorded
from wherry.registry.forms import Schema
from wherry.registry.scalars import NoExample
from wherry.registry.stored import Stored, stored_types

Reader: TypeAlias = Callable[[bytes], Any]
State: TypeAlias = Literal["new", "same", "changed", "breaks"]


class Judged(Struct, frozen=True):
    """A type beside its file.

    Attributes:
        state: "new": there is no file; "changed": it reads every recorded form, and is not recorded
            itself; "breaks": there is a form that it does not read.
        recorded: The file, or None.
        changes: From the recorded form to what the type is now.
    """

    stored: Stored
    state: State
    recorded: Recorded | None
    changes: tuple[Change, ...] = ()

    @property
    def next(self) -> Recorded:
        """What the file is to be when it is brought up to date."""
        key, recorded, schema = self.stored.key, self.recorded, self.stored.schema
        if recorded is None:
            return Recorded(
                kind=key.kind, name=key.name, version=key.version, keyed=self.stored.keyed,
                form=1, schema=schema,
            )  # fmt: skip
        now = msgspec.structs.replace(recorded, schema=schema, keyed=self.stored.keyed)
        if self.state == "same":  # at most a class has another name
            return now
        return msgspec.structs.replace(now, form=recorded.form + 1, earlier=recorded.forms)


class Judgement(Struct, frozen=True):
    """What came of comparing an app with its folder."""

    types: tuple[Judged, ...]
    findings: tuple[Finding, ...]


def judge(
    blueprint: Blueprint,
    recorded: Mapping[Key, Recorded],
    upgrades: Mapping[Key, Reader],
    downgrades: Mapping[Key, Reader],
) -> Judgement:
    """Compare an app with what is recorded.

    Args:
        upgrades: For each type with `upgrade=`, what reads its bytes as its handlers do. It is
            shown examples of each form that the type itself does not read.
        downgrades: For each version of an event with `downgrade=`, what makes an older one of its
            bytes. Both raise for what they do not read.
    """
    stored = stored_types(blueprint)
    types: list[Judged] = []
    findings: list[Finding] = []
    for one in stored:
        of = recorded.get(one.key)
        if of is None:
            types.append(Judged(one, "new", None))
            findings.append(_unrecorded(one, f"The {one.key} is not recorded."))
        else:
            faults = [*_key_faults(one, of), *_faults(one, of.forms, upgrades.get(one.key))]
            found = tuple(compare(of.schema, one.schema))
            if not (one.key in upgrades and any(change.breaks for change in found)):
                faults += [_renamed(one, change) for change in found if _is_silent(change)]
            errors = any(fault.severity == "error" for fault in faults)
            state: State = "breaks" if errors else "changed" if found else "same"
            types.append(Judged(one, state, of, found))
            findings += faults
            if state == "changed":
                said = "; ".join(map(str, found))
                findings.append(
                    _unrecorded(one, f"The {one.key} is not recorded as it is: {said}.")
                )
        if one.key in upgrades:
            findings += _unused(one, recorded)
        if one.key in downgrades:
            findings += _downgrade_faults(one, downgrades[one.key])
    declared = {one.key for one in stored}
    for key in sorted(recorded.keys() - declared):
        findings += _undeclared(recorded[key], stored, upgrades)
    return Judgement(tuple(types), tuple(findings))


def _key_faults(one: Stored, of: Recorded) -> Iterator[Finding]:
    """Yield that items lie elsewhere than where they are looked for."""
    if of.keyed and of.keyed != one.keyed:
        yield Finding(
            code="schema_rekeyed",
            message=f"The {one.key} is stored by {of.keyed} and now declared with {one.keyed}: "
            "its items would not be found any more.",
            fix="Keep its key and sort, declare another table (with a name= of its own) for the "
            "new ones, and copy the items over. If there are no items anywhere, delete "
            f"schemas/{one.key.path}.",
            place=one.place,
        )
    elif not of.keyed and one.keyed:
        yield _unrecorded(one, f"The {one.key} is recorded without its key.")


def _faults(one: Stored, forms: list[Form], upgrade: Reader | None) -> Iterator[Finding]:
    """Yield what a type does not read of the forms that its data may have."""
    told: set[str] = set()
    if one.key.kind == "workflow":  # nothing reads it by its type: what was accepted once is
        forms = forms[:1]
    for form in forms:
        lost = breaking(form.schema, one.schema)
        if lost and upgrade is not None:
            yield from _upgrade_faults(one, form, upgrade)
        elif lost:
            new = [found for found in lost if str(found) not in told]
            told.update(map(str, new))
            yield from (_broken(one, form, forms[0], found) for found in new)


def _unused(one: Stored, recorded: Mapping[Key, Recorded]) -> Iterator[Finding]:
    """Yield that no recorded form, of an older version of an event neither, needs the upgrade."""
    forms = [
        form
        for key, of in recorded.items()
        if key[:2] == one.key[:2] and key <= one.key
        for form in of.forms
    ]
    if forms and not any(breaking(form.schema, one.schema) for form in forms):
        yield Finding(
            code="upgrade_unused",
            message=f"upgrade= of the {one.key} is never tried: its type reads every recorded form "
            "as it stands.",
            fix="Take it away; or, where a field got another name, give the new one no default, so "
            "that the old form does not pass for the new.",
            severity="warning",
            place=one.place,
        )


def _upgrade_faults(one: Stored, form: Form, upgrade: Reader) -> Iterator[Finding]:
    try:
        fault = _unread(form.schema, upgrade, one.keys)
    except NoExample as error:
        yield Finding(
            code="upgrade_untried",
            message=f"No example of form {form.form} of the {one.key} can be made to try upgrade= "
            f"on: {error}.",
            fix="Write a test that reads data of that form.",
            severity="warning",
            place=one.place,
        )
        return
    if fault:
        yield Finding(
            code="upgrade_fails",
            message=f"upgrade= of the {one.key} does not read form {form.form}: {fault}. "
            f"{_who(one)}",
            fix="Have it return the new form for this example too.",
            place=one.place,
        )


def _unread(schema: Schema, reader: Reader, keys: Mapping[str, str] | None = None) -> str:
    """Return why an example of a schema is not read, or not under its key; else an empty text."""
    for example in examples_of(schema):
        body = msgspec.json.encode(example.value)
        try:
            value = reader(body)
        except (Exception, SystemExit) as error:  # the team's own code may raise anything
            return f"{body.decode()} ({example.case}): {type(error).__name__}: {error}"
        moved = _moved(example.value, value, keys) if keys else ""
        if moved:
            return f"{body.decode()} ({example.case}): {moved}"
    return ""


def _moved(old: Any, value: Any, keys: Mapping[str, str]) -> str:
    """Say which field of a key an upgrade changes: the item lies where its old one says."""
    new = msgspec.json.decode(to_json(value))
    for name, kind in keys.items():
        if name in old and field_key(new.get(name), kind) != field_key(old[name], kind):
            return (
                f"it changes {name!r}, by which the item is stored, from {old[name]!r} to "
                f"{new.get(name)!r}: what is put would be a second item beside it"
            )
    return ""


def _downgrade_faults(one: Stored, downgrade: Reader) -> Iterator[Finding]:
    try:
        fault = _unread(one.schema, downgrade)
    except NoExample:
        return
    if fault:
        yield Finding(
            code="downgrade_fails",
            message=f"downgrade= of the {one.key} does not give the older version: {fault}.",
            fix="Have it return a value of the older class for this example too.",
            place=one.place,
        )


def _undeclared(
    of: Recorded, stored: list[Stored], upgrades: Mapping[Key, Reader]
) -> Iterator[Finding]:
    """Yield what becomes of values whose type is declared no more."""
    newer = [one for one in stored if one.key[:2] == of.key[:2] and one.key > of.key]
    if newer:
        one = newer[0]  # as who listens to it reads what is older
        for fault in _faults(one, of.forms, upgrades.get(one.key)):
            if fault.severity == "error":
                yield msgspec.structs.replace(
                    fault,
                    message=f"The {of.key} is recorded and no longer declared. {fault.message}",
                    fix=f"Declare version {of.version} until none is on its way, or write upgrade= "
                    f"on version {one.key.version}; if none is, delete schemas/{of.key.path}.",
                )
        return
    yield Finding(
        code="schema_unused",
        message=f"The {of.key} is recorded and no longer declared.",
        fix=f"{_same_under_another_name(of)}Delete schemas/{of.key.path} when nothing of it is "
        "left.",
        severity="warning",
    )


def _same_under_another_name(of: Recorded) -> str:
    """Advise what is called after its class: a new name is a new, empty one."""
    if of.kind in ("table", "queue"):
        return f"If its class was renamed, keep its name: name={of.name!r}. "
    return ""


# --- telling ------------------------------------------------------------------------------------


def _unrecorded(one: Stored, message: str) -> Finding:
    return Finding(
        code="schema_unrecorded",
        message=message,
        fix="Run: wherry schemas update",
        severity="warning",
        place=one.place,
    )


def _broken(one: Stored, form: Form, newest: Form, change: Change) -> Finding:
    of = "" if form is newest else f" since form {form.form}"
    return Finding(
        code="schema_breaks",
        message=f"The {one.key}: {change}{of}. {_who(one)}",
        fix=_advice(one, change),
        severity="warning" if one.key.kind == "workflow" else "error",
        place=one.place,
    )


def _is_silent(change: Change) -> bool:
    """Whether a field has another name, and the old form passes for the new one."""
    return change.code == "renamed" and not change.breaks


def _renamed(one: Stored, change: Change) -> Finding:
    """Tell of a rename that loses what stands under the old name, and fails for nobody."""
    readers = ", ".join(one.readers) or "Nobody"
    return Finding(
        code="schema_renames",
        message=f"The {one.key}: {change}. {readers} would read {one.values} as if nothing stood "
        "there.",
        fix="Keep its name in JSON, `msgspec.field(name=...)`, or give it no default and write "
        "upgrade=, which makes the new form of the old one. If it is another field, take the old "
        "one away first, run wherry schemas update, and then add it.",
        severity="warning" if one.key.kind == "workflow" else "error",
        place=one.place,
    )


def _who(one: Stored) -> str:
    """Say who breaks on what."""
    names = ", ".join(one.readers)
    if one.key.kind == "workflow":
        return f"Executions that began before hand the old form to {names or 'their states'}."
    return f"{names} would fail on {one.values}." if names else f"Nobody reads {one.values} yet."


def _advice(one: Stored, change: Change) -> str:
    match change.code:
        case "required":
            first = "Give it a default"
        case "renamed":
            first = "Keep its name in JSON, `msgspec.field(name=...)`"
        case "refused":
            first = "Let the type pass over fields that it does not know"
        case _:
            first = "Let the type take the old form too"
    if one.key.kind == "workflow":
        return f"{first}, or see to it that the states, and what they call, read the old form too."
    another = ""
    if one.key.kind == "event":
        another = f", or declare version {one.key.version + 1} beside version {one.key.version}"
    return f"{first}, or write upgrade=, which makes the new form of the old one{another}."
