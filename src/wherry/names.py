"""Names: of buckets and blobs, which make paths; of objects and executions, which never do.

And what headers say of an object: its media type and metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits
from wherry.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT = "000000000000"  # in ARNs, where AWS has an account and a region
REGION = "local"
_HEX = frozenset("0123456789abcdef")
PLAIN = "ASCII, printable, no space at its ends and no two in a row"
_NOT_IN_TOKENS = frozenset(' "(),/:;<=>?@[\\]{}')  # RFC 9110 section 5.6.2
_NOT_IN_EXECUTIONS = frozenset('<>{}[]?*"#%\\^|~`$&,;:/\ufffe\uffff\U0010ffff')


def check_bucket(bucket: str) -> str:
    """Return the name of a bucket: an ASCII identifier of at most 63 letters, `-` allowed within.

    Raises:
        ValueError: It is something else. A path is made of it, so this is the guard.
    """
    fits = len(bucket) <= limits.NAME_LENGTH and bucket.isascii()
    if not (fits and bucket.replace("-", "_").isidentifier() and bucket[0] not in "-_"):
        raise ValueError(f"{bucket[:80]!r} is not a name of a bucket")
    return bucket


def check_blob(blob: str) -> str:
    """Return the id of a blob: 16 to 128 lower-case hexadecimal digits.

    Raises:
        ValueError: It is something else. A path is made of it, so this is the guard.
    """
    if not (
        limits.BLOB_ID_LENGTH_MIN <= len(blob) <= limits.BLOB_ID_LENGTH_MAX
        and _HEX.issuperset(blob)
    ):
        raise ValueError(f"{blob[:140]!r} is not the id of a blob")
    return blob


def check_key(key: str) -> str:
    """Return the key of an object as it is, if every platform can hold it.

    1 to 1,024 bytes of UTF-8 (AWS S3); no control characters; no `/` at the start, no `//`, no
    segment `.` or `..`, which HTTP clients and proxies rewrite. It is not normalized: two
    spellings of `é` are two keys, and so are `a` and `A`.

    Raises:
        Invalid: With what is wrong with it.
    """
    fault = _key_fault(key)
    if fault:
        shown = key[:80] if len(key) <= 80 else key[:80] + "..."
        raise Invalid(f"The object key {shown!a} {fault}.", faults=[{"at": "key", "fault": fault}])
    return key


def _key_fault(key: str) -> str:
    try:
        length_bytes = len(key.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, which UTF-8 cannot say"
    if not 1 <= length_bytes <= limits.OBJECT_KEY_BYTES:
        return f"has {length_bytes} bytes; 1 to {limits.OBJECT_KEY_BYTES} are allowed"
    if any(char < " " or "\x7f" <= char <= "\x9f" for char in key):
        return "holds a control character"
    if key.startswith("/"):
        return "begins with '/'"
    if "//" in key:
        return "has an empty segment ('//')"
    if any(segment in (".", "..") for segment in key.split("/")):
        return "has a segment '.' or '..'"
    return ""


def is_word(text: str) -> bool:
    """Whether this is ASCII letters, digits, `-` and `_`, with a letter or digit among them."""
    return text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def is_plain(value: str) -> bool:
    """Whether a header carries this value unchanged, and a signature covers all of it (`PLAIN`).

    SigV4 trims values and folds spaces: a value that this would change is not one value.
    """
    plain = value.isascii() and value.isprintable()
    return plain and value == value.strip() and "  " not in value


def check_media_type(media_type: str) -> str:
    """Return the media type of an object as it is, if a Content-Type header can say it.

    `type/subtype`, with parameters or without (RFC 9110 section 8.3).

    Raises:
        Invalid: With what is wrong with it.
    """
    kind, _, subtype = media_type.partition(";")[0].rstrip(" ").partition("/")
    fault = ""
    if len(media_type) > limits.MEDIA_TYPE_LENGTH:
        fault = f"has {len(media_type)} characters; {limits.MEDIA_TYPE_LENGTH} are allowed"
    elif not (_is_token(kind) and _is_token(subtype)):
        fault = "is not type/subtype, such as image/png"
    elif not is_plain(media_type):
        fault = f"has to be {PLAIN}"
    if fault:
        raise Invalid(
            f"The media type {media_type[:80]!a} {fault}.",
            faults=[{"at": "media_type", "fault": fault}],
        )
    return media_type


def _is_token(text: str) -> bool:
    plain = text.isascii() and text.isprintable()
    return bool(text) and plain and _NOT_IN_TOKENS.isdisjoint(text)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Hold the metadata of an object against what headers (`x-amz-meta-...`) can say.

    Raises:
        Invalid: With everything that is wrong with it.
    """
    faults = []
    seen: set[str] = set()
    for name, value in metadata.items():
        if not is_word(name):
            fault = "a name has to be ASCII letters, digits, '-' and '_'"
        elif name.lower() in seen:
            fault = "the name is there twice: upper and lower case are one in a header"
        elif not is_plain(value):
            fault = f"the value has to be {PLAIN}"
        else:
            fault = ""
        seen.add(name.lower())
        if fault:
            faults.append({"at": f"metadata.{name[:80]}", "fault": fault})
    if faults:
        raise Invalid("The metadata of the object cannot be sent in headers.", faults=faults)


def check_execution_name(name: str) -> str:
    """Return the name of a workflow's execution as it is, if AWS takes it (StartExecution).

    1 to 80 characters; no white space, no control characters and none of
    `< > { } [ ] ? * " # % \\ ^ | ~ ` $ & , ; : /`.

    Raises:
        Invalid: With what is wrong with it.
    """
    fault = ""
    if not 1 <= len(name) <= limits.EXECUTION_NAME_LENGTH:
        fault = f"has {len(name)} characters; 1 to {limits.EXECUTION_NAME_LENGTH} are allowed"
    else:
        bad = next((char for char in name if _cannot_name_execution(char)), None)
        if bad is not None:
            fault = f"holds {bad!a}"
    if fault:
        raise Invalid(
            f"The execution name {name[:100]!a} {fault}.",
            advice="Use letters, digits, '-', '_' and '.'.",
            faults=[{"at": "name", "fault": fault}],
        )
    return name


def _cannot_name_execution(char: str) -> bool:
    return (
        char in _NOT_IN_EXECUTIONS
        or char.isspace()
        or char < " "
        or "\x7f" <= char <= "\x9f"
        or "\ud800" <= char <= "\udfff"
    )
