"""What production asks of an app beyond being right."""

from __future__ import annotations

from wherry.blueprint import (
    AuthSpec,
    Blueprint,
    FunctionSpec,
    HttpTrigger,
    check_stage,
)

DEVELOPMENT = AuthSpec(name="customers")
ACCEPTED = AuthSpec(name="customers", accepted="An internal tool for five people.")
ISSUER = AuthSpec(name="customers", issuer="https://id.example.com", audiences=("shop",))
WRITE = HttpTrigger(endpoint="create", method="POST", path="/orders")


def codes(blueprint: Blueprint, stage: str = "prod") -> dict[str, str]:
    return {found.code: found.severity for found in check_stage(blueprint, stage)}


def test_the_development_issuer_is_an_error_in_production() -> None:
    assert codes(Blueprint(app="a", auths=(DEVELOPMENT,))) == {"development_issuer": "error"}


def test_an_empty_acceptance_is_none() -> None:
    empty = AuthSpec(name="customers", accepted="  ")
    assert codes(Blueprint(app="a", auths=(empty,))) == {"development_issuer": "error"}


def test_a_written_acceptance_or_an_issuer_is_good_enough() -> None:
    for auth in (ACCEPTED, ISSUER):
        assert codes(Blueprint(app="a", auths=(auth,))) == {}


def test_an_issuer_on_the_machine_itself_is_an_error_in_production() -> None:
    """It is one for writing code; where it is meant, a word says so."""
    for url in (
        "http://localhost:8080/",
        "https://LOCALHOST",
        "https://127.0.0.1:9/realm",
        "https://0.0.0.0/",
        "https://[::1]/",
    ):
        local = AuthSpec(name="customers", issuer=url, audiences=("shop",))
        assert codes(Blueprint(app="a", auths=(local,))) == {"issuer_on_this_machine": "error"}
    meant = AuthSpec(
        name="customers",
        issuer="http://localhost:8080/",
        audiences=("shop",),
        accepted="A sidecar.",
    )
    assert codes(Blueprint(app="a", auths=(meant,))) == {}


def test_a_write_that_is_open_to_everybody_is_a_warning() -> None:
    function = FunctionSpec(name="create", module="m", triggers=(WRITE,))
    assert codes(Blueprint(app="a", functions=(function,))) == {"write_without_auth": "warning"}


def test_other_stages_ask_for_nothing() -> None:
    assert codes(Blueprint(app="a", auths=(DEVELOPMENT,)), "dev") == {}
