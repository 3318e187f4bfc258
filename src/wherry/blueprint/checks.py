"""What can be wrong with an app as a whole: every finding at once, with its place and its fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from wherry import limits
from wherry.blueprint.checks_functions import check_functions
from wherry.blueprint.checks_patterns import check_patterns
from wherry.blueprint.checks_resources import check_resources
from wherry.blueprint.checks_routes import METHODS, check_routes, throttle_faults
from wherry.blueprint.checks_triggers import check_triggers
from wherry.blueprint.checks_versions import check_versions
from wherry.blueprint.checks_workflows import check_workflows
from wherry.blueprint.parts import Cors, Finding, Place
from wherry.blueprint.records import Blueprint

_NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{limits.NAME_LENGTH - 1}}}")
_CORS_METHODS = (*METHODS, "HEAD", "OPTIONS", "*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def check(blueprint: Blueprint) -> list[Finding]:
    """Return everything that is wrong with the app, errors first, in the order of the places."""
    findings = [
        *_names(blueprint),
        *check_resources(blueprint),
        *check_routes(blueprint),
        *check_functions(blueprint),
        *check_triggers(blueprint),
        *check_patterns(blueprint),
        *check_versions(blueprint),
        *check_workflows(blueprint),
        *_edge(blueprint),
    ]
    return in_order(findings)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings for a reader: errors first, then by place; the same one only once."""

    def rank(finding: Finding) -> tuple[bool, str, int]:
        place = finding.place or Place(file="", line=0)
        return finding.severity != "error", place.file, place.line

    unique = {(found.code, found.message, str(found.place)): found for found in findings}
    return sorted(unique.values(), key=rank)


def _names(blueprint: Blueprint) -> Iterator[Finding]:
    rooms: list[tuple[str, list[tuple[str, str, Place | None]]]] = [
        ("app", [("app", blueprint.app, None)]),
        ("function", [("function", one.name, one.place) for one in blueprint.functions]),
        ("auth", [("auth", one.name, one.place) for one in blueprint.auths]),
        ("resource", _resources(blueprint)),
    ]
    for room, declared in rooms:
        first: dict[str, Place | None] = {}
        for kind, name, place in declared:
            if not _NAME.fullmatch(name):
                yield Finding(
                    code="name_invalid",
                    message=f"The {kind} name {name!r} is not one that every platform takes.",
                    fix="Use small letters, digits, '_' and '-', beginning with a letter, at most "
                    f"{limits.NAME_LENGTH}.",
                    place=place,
                )
            if name in first:
                yield Finding(
                    code="name_twice",
                    message=f"The name {name!r} is already that of another {room}"
                    + (f" at {first[name]}." if first[name] else "."),
                    fix=f"Rename one of them: {room} names are unique within an app.",
                    place=place,
                )
            else:
                first[name] = place


def _resources(blueprint: Blueprint) -> list[tuple[str, str, Place | None]]:
    own = {(one.name, one.place) for one in blueprint.workflows}  # told as what they are
    queues = [one for one in blueprint.queues if (one.name, one.place) not in own]
    return [
        *(("workflow", one.name, one.place) for one in blueprint.workflows),
        *(("table", one.name, one.place) for one in blueprint.tables),
        *(("queue", one.name, one.place) for one in queues),
        *(("bucket", one.name, one.place) for one in blueprint.buckets),
        *(("secret", one.name, one.place) for one in blueprint.secrets),
    ]


def _edge(blueprint: Blueprint) -> Iterator[Finding]:
    if blueprint.throttle is not None:
        yield from throttle_faults(blueprint.throttle, "the app", None)
    if blueprint.cors is not None:
        yield from _cors(blueprint.cors)


def _cors(cors: Cors) -> Iterator[Finding]:
    for origin in cors.origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            yield Finding(
                code="cors_origin",
                message=f"The CORS origin {origin!r} is not one that a browser sends.",
                fix="Write scheme and host, without a path: 'https://shop.example.com'.",
            )
    if not cors.origins:
        yield Finding(
            code="cors_origin",
            message="CORS is declared without an origin.",
            fix="Name the origins of your pages, or leave app.cors() out.",
        )
    if cors.credentials and "*" in cors.origins:
        yield Finding(
            code="cors_open",
            message="CORS lets every origin call with the user's credentials, which browsers and "
            "platforms refuse.",
            fix='Name the origins: app.cors(origins=["https://..."], credentials=True).',
        )
    for method in cors.methods:
        if method not in _CORS_METHODS:
            yield Finding(
                code="cors_method",
                message=f"The CORS method {method!r} is none that a browser asks for.",
                fix=f"Use {', '.join(_CORS_METHODS)}.",
            )
    if not cors.methods:
        yield Finding(
            code="cors_method",
            message="CORS is declared without a method.",
            fix="Name the methods that your pages use, or leave methods= out: then all.",
        )
    for name in (*cors.headers, *cors.expose):
        if not _HEADER.fullmatch(name):
            yield Finding(
                code="cors_header",
                message=f"The CORS header {name!r} is no name of a header.",
                fix="Write it like 'x-request-id'; a list has one name in each place.",
            )
    if not -1 <= cors.max_age_s <= limits.CORS_MAX_AGE_S:
        yield Finding(
            code="cors_age",
            message=f"CORS max_age_s={cors.max_age_s} is not in -1..{limits.CORS_MAX_AGE_S}.",
            fix="Choose a value in this range.",
        )
