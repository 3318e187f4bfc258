"""Bodies: strict JSON and urlencoded forms, read into the type that a handler asks for.

400 where a body cannot be read, with the position; 422 where it is read and wrong, with every
fault in it. A request's body is held to its type strictly: unknown fields are faults, also for
types that do not forbid them. Messages are not: their sender may be a newer release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from wherry import limits
from wherry.app.endpoints import Argument
from wherry.app.fields import fields_of
from wherry.app.kinds import has_pydantic, list_item, without_none
from wherry.codec import not_finite, refuse_duplicate_keys
from wherry.errors import BadRequest, Invalid
from wherry.handles.completing import completing
from wherry.handles.shapes import Upgrade
from wherry.runtime.binding.scanning import TooDeep, UnknownField, depth_of, scan, shape_of
from wherry.runtime.binding.texts import BadText, field_reader
from wherry.runtime.binding.urlencoded import parse

Reader = Callable[[bytes], Any]

_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_BYTE = re.compile(r"\(byte (\d+)\)")
# Each by itself: a pattern that has to look for several things looks at every byte.
_EXPONENT, _DIGITS = re.compile(rb"e\+?\d{3}"), re.compile(rb"\d{300}")


def json_reader(kind: Any) -> Reader:
    """Return a function from the bytes of a request's body to a value of this type.

    It raises `BadRequest` and `Invalid`, whatever the bytes.
    """
    if has_pydantic(kind):
        return _pydantic_reader(kind)
    decode = completing(msgspec.json.Decoder(kind).decode, kind)
    shape = shape_of(kind)
    has_decimals = _has_decimals(kind)

    def read_slowly(body: bytes) -> Any:
        value = decode_strictly(body)
        message = ""
        try:
            _check(body, value, shape)
        except UnknownField:
            message = "Unknown field"
        found = None
        if not message:
            try:
                found = decode(body)
            except msgspec.ValidationError as error:
                message = str(error)
            except RecursionError:
                raise _too_deep() from None
        if not message and not (has_decimals and _may_name_infinity(body.lower())):
            return found
        from wherry.runtime.binding.faults import faults_of

        faults = faults_of(value, kind, message)
        if not faults:
            return found
        raise Invalid("The body breaks its contract.", faults=faults)

    depth = depth_of(kind)
    if depth is None or depth > limits.JSON_DEPTH:
        return read_slowly

    def read(body: bytes) -> Any:
        try:
            value = decode(body)
            text = _encode(value)
        except Exception:  # whatever it is, the slow reading tells it
            return read_slowly(body)
        if has_decimals and _may_name_infinity(body.lower()):
            return read_slowly(body)
        # Its keys are those of what an encoder wrote: all known, none twice.
        if text == body or text == msgspec.json.format(body, indent=-1):
            return value
        return read_slowly(body)

    return read


def _has_decimals(kind: Any) -> bool:
    try:
        return b'"decimal"' in _encode(msgspec.json.schema_components([kind]))
    except Exception:  # a type without a schema
        return True


def _may_name_infinity(text: bytes) -> bool:
    """Whether a text in lower case may hold what a Decimal takes for NaN or Infinity."""
    return b"nan" in text or b"inf" in text or b"\\u" in text


def _may_be_infinite(text: bytes) -> bool:
    """Whether it may hold what a float takes for one of them: also what is too large."""
    return _may_name_infinity(text) or bool(_EXPONENT.search(text) or _DIGITS.search(text))


def decode_strictly(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        BadRequest: It is none; the message says where it goes wrong.
    """
    try:
        return _decode_any(body)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.", faults=[_fault("not UTF-8")]) from None
    except msgspec.DecodeError as error:
        raise _malformed(body, str(error)) from None


def _check(body: bytes, value: Any, shape: Any) -> None:
    """Refuse what is nested too deeply, unknown fields, and keys that are there twice."""
    strings = b"\\" not in body  # an escape may stand for a colon
    try:
        counted = scan(value, shape, strings, limits.JSON_DEPTH)
        if counted != body.count(b":"):
            refuse_duplicate_keys(body)
    except TooDeep:
        raise _too_deep() from None
    except ValueError as error:
        raise BadRequest(f"The body is ambiguous: {error}.", faults=[_fault(str(error))]) from None
    except UnknownField:
        if shape is not None:
            _check(body, value, None)
        raise


def _too_deep() -> BadRequest:
    fault = f"nested deeper than {limits.JSON_DEPTH} arrays and objects"
    return BadRequest(f"The body is {fault}.", faults=[_fault(fault)])


def _malformed(body: bytes, message: str) -> BadRequest:
    found = _BYTE.search(message)
    text = message.removeprefix("JSON is malformed: ").split(" - at `")[0]
    if "truncated" in text:
        if _has_lone_surrogate(body):
            fault = "a surrogate escape stands alone"
            return BadRequest(f"The body is not JSON: {fault}.", faults=[_fault(fault)])
        return BadRequest("The body is not JSON: it ends too early.", faults=[_fault(text)])
    at = f"byte {found[1]}" if found else "$"
    if found:
        before = body[: int(found[1])]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        text = f"{text[: text.index(' (byte')]} at line {line}, column {column}"
    return BadRequest(f"The body is not JSON: {text}.", faults=[{"at": at, "fault": text}])


def _has_lone_surrogate(body: bytes) -> bool:
    """Tell it from a text that ends too early, which msgspec does not; json takes the first."""
    import json

    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _fault(text: str) -> dict[str, str]:
    return {"at": "$", "fault": text}


# --- Pydantic -----------------------------------------------------------------------------------


def _pydantic_reader(kind: Any) -> Reader:
    import pydantic

    adapter: Any = pydantic.TypeAdapter(kind)
    options = _extra(kind)

    def read(body: bytes) -> Any:
        _check(body, decode_strictly(body), None)
        try:
            value = adapter.validate_json(body, **options)
        except pydantic.ValidationError as error:
            raise _invalid(error) from None
        if _may_be_infinite(body.lower()) and (found := not_finite(adapter.dump_python(value))):
            from wherry.runtime.binding.faults import FINITE

            fault = {"at": found[0], "fault": FINITE}
            raise Invalid("The body breaks its contract.", faults=[fault])
        return value

    return read


def _extra(kind: Any) -> dict[str, Any]:
    """Forbid unknown fields, unless the model says itself what becomes of them."""
    config = getattr(kind, "model_config", {})
    return {} if "extra" in config else {"extra": "forbid"}


def _invalid(error: Any) -> Invalid:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    faults = [
        {
            "at": "$"
            + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in one["loc"]),
            "fault": one["msg"],
        }
        for one in found[: limits.FAULTS]
    ]
    return Invalid("The body breaks its contract.", faults=faults)


# --- forms --------------------------------------------------------------------------------------


def form_reader(kind: Any) -> Reader:
    """Return a function from the bytes of an urlencoded form to a value of this type."""
    fields = fields_of(kind) or {}
    readers: dict[str, tuple[bool, Callable[[str], Any]]] = {}
    for field in fields.values():
        inner, _ = without_none(field.type)
        item = list_item(inner)
        readers[field.wire] = (item is not None, field_reader(inner if item is None else item))
    build = _form_builder(kind)

    def read(body: bytes) -> Any:
        try:
            pairs = parse(body.decode(), "form")
        except UnicodeDecodeError:
            raise BadRequest("The form is not UTF-8.") from None
        values, faults = _form_values(pairs, readers)
        try:
            result = build(values)
        except Invalid as error:
            known = {fault["at"] for fault in faults}
            faults.extend(fault for fault in error.faults if fault["at"] not in known)
            result = None
        if faults:
            raise Invalid("The form breaks its contract.", faults=faults[: limits.FAULTS])
        return result

    return read


def _form_values(
    pairs: list[tuple[str, str]], readers: dict[str, tuple[bool, Callable[[str], Any]]]
) -> tuple[dict[str, Any], list[Mapping[str, str]]]:
    values: dict[str, Any] = {}
    faults: list[Mapping[str, str]] = []
    for name, text in pairs:
        if name not in readers:
            faults.append({"at": f"$.{name[:80]}", "fault": "Unknown field"})
            continue
        many, reader = readers[name]
        try:
            value = reader(text)
        except BadText as error:
            number = f"[{len(values.get(name, ()))}]" if many else ""
            faults.append({"at": f"$.{name}{number}", "fault": str(error)})
            value = None
        if many:
            values.setdefault(name, []).append(value)
        elif name in values:
            faults.append({"at": f"$.{name}", "fault": "Given twice"})
        else:
            values[name] = value
    return values, faults


def _form_builder(kind: Any) -> Callable[[dict[str, Any]], Any]:
    if has_pydantic(kind):
        import pydantic

        adapter: Any = pydantic.TypeAdapter(kind)

        def build_model(values: dict[str, Any]) -> Any:
            try:
                return adapter.validate_python(values)
            except pydantic.ValidationError as error:
                raise _invalid(error) from None

        return build_model

    convert = completing(lambda values: msgspec.convert(values, kind), kind)

    def build(values: dict[str, Any]) -> Any:
        try:
            return convert(values)
        except msgspec.ValidationError as error:
            from wherry.runtime.binding.faults import faults_of

            raise Invalid(faults=faults_of(values, kind, str(error))) from None

    return build


# --- messages -----------------------------------------------------------------------------------


def message_reader(kind: Any, upgrades: tuple[Upgrade, ...] = ()) -> Reader:
    """Return a function from a message's bytes to a payload; it raises `ValueError`.

    `upgrades` are tried on what is not of this type.
    """
    read: Reader
    if has_pydantic(kind):
        import pydantic

        read = pydantic.TypeAdapter(kind).validate_json
    else:
        read = completing(msgspec.json.Decoder(kind).decode, kind)
    return _upgrading(read, kind, upgrades)


def _upgrading(read: Reader, kind: Any, upgrades: tuple[Upgrade, ...]) -> Reader:
    if not upgrades:
        return read
    from wherry.handles.upgrades import upgrading

    return upgrading(read, kind, upgrades)


def arguments_reader(
    arguments: tuple[Argument, ...], upgrades: tuple[Upgrade, ...] = ()
) -> Callable[[bytes], dict[str, Any]]:
    """Return a function from a message's bytes to its consumer's arguments, by name.

    A consumer's one argument is the payload; what runs after a commit gets its fields. The
    function raises `ValueError`.
    """
    if len(arguments) == 1 and arguments[0].source == "message":
        name, read_payload = arguments[0].name, message_reader(arguments[0].type, upgrades)
        return lambda body: {name: read_payload(body)}
    readers = {one.name: message_reader(one.type) for one in arguments}
    required = [one.name for one in arguments if one.required]
    fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

    def read(body: bytes) -> dict[str, Any]:
        given = fields(body)
        missing = [name for name in required if name not in given]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return {
            name: reader(bytes(given[name])) for name, reader in readers.items() if name in given
        }

    return _upgrading(read, None, upgrades)
