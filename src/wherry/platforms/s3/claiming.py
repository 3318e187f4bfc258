"""The first look at a place in S3: whether all works that is needed, and whose place it is.

Who sweeps a place removes what no row of his store names. So a place belongs to one store, and
says so in an object of its own; the store remembers it too, with the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.errors import Refused, WherryError

from .faults import code_of, status_of

if TYPE_CHECKING:
    from wherry.world import Chance

    from .remote import Remote

OWN = ".wherry/"  # below the prefix; no bucket of wherry's has such a name
OWNER = OWN + "installation"
MOVING = "moving "  # before the ID of a store that is not finished: nobody sweeps there yet


def probe(remote: Remote, chance: Chance) -> None:
    """List, put, read and delete.

    Raises:
        Refused: What does not work, and what to do.
    """
    name = f"{OWN}probe-{chance.token(8).hex()}"
    content = chance.token(8).hex().encode()
    action = "list"
    try:
        remote.look()
        action = "put into"
        remote.write(name, content)
        action = "read"
        found = remote.read(name)
        action = "delete from"
        remote.remove(name)
    except WherryError as error:
        raise _refusal(error, action, remote) from error
    if found != content:
        raise Refused(
            f"What is put into {remote.place} does not come back.",
            advice="Is the endpoint really that of an S3-compatible store?",
        )


def claim(remote: Remote, installation: str, moved: bool) -> None:
    """Take a place for an installation.

    Args:
        moved: The content lies elsewhere until now: a place that is nobody's is not taken.

    Raises:
        Refused: It is another one's, or the content is not there.
    """
    try:
        owner = remote.read(OWNER)
        if owner is None and not moved:
            remote.write(OWNER, installation.encode(), if_absent=True)
            owner = remote.read(OWNER)
    except WherryError as error:
        raise _refusal(error, "claim", remote) from error
    if owner is None:
        raise Refused(
            f"The objects of this store are not in {remote.place}.",
            advice=f"Copy all of the old place to it first, {OWNER} too.",
        )
    if owner != installation.encode():
        raise Refused(
            f"{remote.place} holds the objects of another store.",
            advice="Choose another prefix: s3://BUCKET/PREFIX.",
        )


def claim_unfinished(remote: Remote, installation: str) -> None:
    """Take a place for a store that is being moved to it, or keep it.

    What another move has left unfinished there is taken over: that one is refused at its end.

    Raises:
        Refused: It is another store's.
    """
    try:
        owner = remote.read(OWNER)
        ours = (MOVING + installation).encode()
        if owner is None and remote.write(OWNER, ours, if_absent=True):
            return
        owner = owner or remote.read(OWNER)
        if owner is not None and owner.startswith(MOVING.encode()):
            remote.write(OWNER, ours)
            return
    except WherryError as error:
        raise _refusal(error, "claim", remote) from error
    claim(remote, installation, moved=False)


def claim_finished(remote: Remote, installation: str) -> None:
    """Make a place that was taken by `claim_unfinished` the store's for good.

    Raises:
        Refused: Somebody else has taken it meanwhile.
    """
    try:
        if remote.read(OWNER) == (MOVING + installation).encode():
            remote.write(OWNER, installation.encode())
    except WherryError as error:
        raise _refusal(error, "claim", remote) from error
    claim(remote, installation, moved=True)


def _refusal(error: WherryError, action: str, remote: Remote) -> Refused:
    cause = error.__cause__
    code = code_of(cause) if isinstance(cause, Exception) else ""
    status = status_of(cause) if isinstance(cause, Exception) else 0
    place = remote.place
    if code == "NoSuchBucket" or (action == "list" and status == 404):
        return Refused(
            f"There is no bucket {place.bucket}.",
            advice="Create it, or correct --objects and --objects-endpoint.",
        )
    if status in (401, 403):
        return Refused(
            f"The credentials that boto3 finds may not {action} {place}: {error.message}",
            advice="They need to list, get, put and delete there.",
        )
    if code:
        return Refused(f"{place}: {error.message}", advice="Is the endpoint that of an S3 store?")
    if type(cause).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return Refused(
            f"boto3 finds no credentials for {place}.",
            advice="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the engine's environment.",
        )
    endpoint = f" at {place.endpoint}" if place.endpoint else ""
    return Refused(
        f"{place}{endpoint} cannot be used: {error.message}",
        advice="Correct --objects-endpoint, or AWS's variables, or the network.",
    )
