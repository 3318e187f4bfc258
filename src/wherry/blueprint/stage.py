"""What a stage asks of an app beyond being right: production takes no stand-ins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wherry.blueprint.checks import in_order
from wherry.blueprint.parts import Finding
from wherry.blueprint.records import Blueprint, HttpTrigger

PRODUCTION = "prod"
_LOCAL = re.compile(
    r"http://|https://(localhost|127\.[0-9.]+|0\.0\.0\.0|\[::1?\])(:|/|$)", re.IGNORECASE
)
_WRITING = ("POST", "PUT", "PATCH", "DELETE")


def check_stage(blueprint: Blueprint, stage: str) -> list[Finding]:
    """Return what speaks against running this app at `stage`; only "prod" asks for anything."""
    if stage != PRODUCTION:
        return []
    return in_order([*_issuers(blueprint), *_open_writes(blueprint)])


def _issuers(blueprint: Blueprint) -> Iterator[Finding]:
    for auth in blueprint.auths:
        if (auth.accepted or "").strip():
            continue
        if auth.issuer is not None and _LOCAL.match(auth.issuer):
            yield Finding(
                code="issuer_on_this_machine",
                message=f"The issuer of {auth.name!r} is {auth.issuer}, at each machine itself.",
                fix="Name the one that your users log in at, by https; or write why this one is "
                'good enough: accepted="...".',
                place=auth.place,
            )
        if auth.issuer is None:
            yield Finding(
                code="development_issuer",
                message=f"{auth.name!r} takes the tokens of the development issuer.",
                fix="Name your issuer (issuer=, audiences=), or write why this one is good enough: "
                'accepted="...".',
                place=auth.place,
            )


def _open_writes(blueprint: Blueprint) -> Iterator[Finding]:
    for function in blueprint.functions:
        for trigger in function.triggers:
            if (
                isinstance(trigger, HttpTrigger)
                and trigger.auth is None
                and trigger.method in _WRITING
            ):
                yield Finding(
                    code="write_without_auth",
                    message=f"{trigger.method} {trigger.path} of {trigger.endpoint!r} is open to "
                    "everybody.",
                    fix="Add auth= to the route, if it is not meant to be.",
                    severity="warning",
                    place=trigger.place,
                )
