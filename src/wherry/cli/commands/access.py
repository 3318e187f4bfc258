"""`wherry token`, `wherry accounts`: the development issuer, for the operator."""

from __future__ import annotations

import sys

import click

from wherry import limits
from wherry.cli.backend import connected
from wherry.cli.groups import Verbs, examples
from wherry.cli.options import data_option, json_option, target_argument
from wherry.cli.output import show, show_json
from wherry.cli.target import load_blueprint
from wherry.engine.controlwire import AccountAsked, TokenAsked

auth_option = click.option("--auth", default="", help="Of which auth, where there are several.")
url_option = click.option(
    "--public-url",
    default="http://127.0.0.1:8000",
    show_default=True,
    metavar="URL",
    help="Where the app will be found, if no engine is running now.",
)


@click.command(
    short_help="Make an access token to try things with.",
    epilog=examples(
        "wherry token --subject alice --role customer",
        "TOKEN=$(wherry token shop:app --subject alice)",
    ),
)
@target_argument
@click.option("--subject", required=True, help="Whose: what `caller.subject` will be.")
@click.option("--role", "roles", multiple=True, help="A role; may be given more than once.")
@click.option(
    "--lifetime-s",
    default=limits.ACCESS_TOKEN_S,
    show_default=True,
    type=click.IntRange(1, limits.ACCESS_TOKEN_MAX_S),
)
@auth_option
@url_option
@data_option
@json_option
def token(
    target: str,
    folder: str,
    subject: str,
    roles: tuple[str, ...],
    lifetime_s: int,
    auth: str,
    public_url: str,
    data: str,
    as_json: bool,
) -> None:
    """Print an access token of the development issuer.

    The running engine makes it. With none, the key in the data folder does; TARGET (module:app) is
    wanted then only if the app never ran there.
    """
    app = load_blueprint(target, folder) if target else None
    with connected(data, public_url.rstrip("/"), app) as backend:
        made = backend.token(TokenAsked(auth, subject, list(roles), lifetime_s))
    if as_json:
        show_json({"access_token": made, "token_type": "Bearer", "expires_in": lifetime_s})
    else:
        show(made)


@click.group(cls=Verbs, epilog=examples("wherry accounts add alice --role customer"))
def accounts() -> None:
    """Make accounts of the development issuer."""


@accounts.command(
    epilog=examples(
        "wherry accounts add alice --role customer",
        "wherry accounts add alice < password.txt",
    )
)
@click.argument("username")
@click.option("--role", "roles", multiple=True, help="A role; may be given more than once.")
@auth_option
@url_option
@data_option
@json_option
def add(
    username: str,
    roles: tuple[str, ...],
    auth: str,
    public_url: str,
    data: str,
    as_json: bool,
) -> None:
    """Make an account, with any roles. The password is asked for, or read from standard input."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    with connected(data, public_url.rstrip("/")) as backend:
        subject = backend.account(AccountAsked(auth, username, password, list(roles)))
    if as_json:
        show_json({"username": username, "subject": subject})
    else:
        show(f"{username} has an account; its subject is {subject}.")
