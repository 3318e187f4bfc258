"""ItemReader: from a bucket's objects to the items of a distributed Map. No I/O is done here.

reading = Reading(call)
while (wanted := reading.wanted) is not None:
    reading.take(...)            # the bytes of an object, or a page of a list
event = reading.event()
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.statemachine.csvfiles import rows
from wherry.statemachine.faults import READER, StatesError
from wherry.statemachine.records import Call, Read
from wherry.statemachine.text import to_text

GET, LIST = "arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"
WRITER_RESOURCE = "arn:aws:states:::s3:putObject"

INPUT_TYPES = ("CSV", "JSON", "JSONL", "MANIFEST")
CONFIG = ("InputType", "Transformation", "ManifestType", "CSVDelimiter", "CSVHeaderLocation",
          "CSVHeaders", "MaxItems", "MaxItemsPath", "ItemsPointer")  # fmt: skip
DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


class WantedObject(msgspec.Struct, frozen=True):
    """The content of an object is wanted; answered with its bytes, or None: there is none."""

    bucket: str
    key: str


class WantedList(msgspec.Struct, frozen=True):
    """Objects whose key begins so are wanted; answered with a `Listed`."""

    bucket: str
    prefix: str
    after: str | None = None


class ListedObject(msgspec.Struct, frozen=True):
    """One object of a list."""

    key: str
    size_bytes: int
    etag: str
    modified_ms: int


class Listed(msgspec.Struct, frozen=True):
    """A page of a list; `after` continues it (None: there are no more)."""

    objects: list[ListedObject]
    after: str | None = None


Wanted: TypeAlias = WantedObject | WantedList


class Reading:
    """How far the items of one call of kind `items` are read.

    Raises:
        StatesError: States.ItemReaderFailed, of the constructor and of `take`.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._config: dict[str, Any] = call.config or {}
        arguments = call.arguments if isinstance(call.arguments, dict) else {}
        most = self._config.get("MaxItems")
        self._most = most if isinstance(most, int) and most > 0 else limits.STATE_ITEMS
        self._kind = self._config.get("InputType", "")
        self._items: list[Any] | dict[str, Any] = []
        self._sources: list[tuple[int, str]] = []
        self._waiting: list[WantedObject] = []
        self._headers: list[str] | None = None
        faults = reader_faults({"Resource": call.resource, "ReaderConfig": self._config})
        if faults:
            raise failed(faults[0])
        bucket = _text(arguments, "Bucket").removeprefix("arn:aws:s3:::")
        self.wanted: Wanted | None
        if call.resource == LIST:
            self.wanted = WantedList(bucket, arguments.get("Prefix") or "")
        else:
            self.wanted = WantedObject(bucket, _text(arguments, "Key"))
        manifest = self._config.get("ManifestType") or (
            "S3_INVENTORY" if self._kind == "MANIFEST" else ""
        )
        self._manifest: str = manifest
        self._flattens = self._config.get("Transformation") == "LOAD_AND_FLATTEN"

    def take(self, answer: bytes | Listed | None) -> None:
        """Take what was wanted; `wanted` is then the next, or None."""
        wanted = self.wanted
        match wanted, answer:
            case WantedList(), Listed():
                self._listed(wanted, answer)
                return
            case WantedObject(), bytes():
                self._object(wanted, answer)
            case WantedObject(), None:
                raise failed(f"The specified key does not exist: s3://{wanted.bucket}/{wanted.key}")
            case _:
                raise failed("The specified bucket does not exist")
        full = isinstance(self._items, list) and len(self._items) >= self._most
        self.wanted = self._waiting.pop(0) if self._waiting and not full else None

    def event(self) -> Read:
        """Return what was read, when nothing is wanted any more."""
        items = self._items
        if isinstance(items, dict):
            items = dict(list(items.items())[: self._most])
        return Read(self._call.id, items, self._sources)

    # --- lists and manifests ------------------------------------------------------------------

    def _listed(self, wanted: WantedList, page: Listed) -> None:
        assert isinstance(self._items, list)
        if self._flattens:
            self._waiting += [WantedObject(wanted.bucket, one.key) for one in page.objects]
            if page.after is None:
                self._waiting = [one for one in self._waiting if not one.key.endswith("/")]
                self.wanted = self._waiting.pop(0) if self._waiting else None
                return
        else:
            room = self._most - len(self._items)
            found = [_metadata(one) for one in page.objects[:room]]
            self._add(found, f"s3://{wanted.bucket}")
        if page.after is None or (not self._flattens and len(self._items) >= self._most):
            self.wanted = None
        else:
            self.wanted = msgspec.structs.replace(wanted, after=page.after)

    def _object(self, wanted: WantedObject, raw: bytes) -> None:
        content = expanded(wanted.key, raw)
        manifest, self._manifest = self._manifest, ""
        if manifest == "ATHENA_DATA":
            for line in _decoded(content).splitlines():
                place = line.strip().strip('"').removeprefix("s3://")
                if place:
                    self._waiting.append(WantedObject(*_split(place)))
        elif manifest:
            self._inventory(content)
        else:
            self._add(self._parsed(content), f"s3://{wanted.bucket}/{wanted.key}")

    def _inventory(self, content: bytes) -> None:
        """Read an inventory's manifest: its files are CSV, with the manifest's columns."""
        try:
            found = msgspec.json.decode(content)
            bucket = found["destinationBucket"].removeprefix("arn:aws:s3:::")
            if found.get("fileFormat", "CSV") != "CSV":
                raise failed("The output format of an S3 inventory must be CSV")
            self._headers = [one.strip() for one in found["fileSchema"].split(",")]
            self._waiting = [WantedObject(bucket, one["key"]) for one in found["files"]]
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            raise failed("The manifest file is not that of an S3 inventory") from None
        self._kind = "CSV"

    # --- contents -----------------------------------------------------------------------------

    def _add(self, found: list[Any] | dict[str, Any], source: str) -> None:
        if isinstance(found, dict):
            self._items = found if not self._items else [*self._items, *_pairs(found)]
            self._sources.append((len(found), source))
            return
        items = self._items
        assert isinstance(items, list)
        found = found[: self._most - len(items)]
        items += found
        self._sources.append((len(found), source))

    def _parsed(self, content: bytes) -> list[Any] | dict[str, Any]:
        match self._kind:
            case "CSV":
                return self._csv(content)
            case "JSONL":
                return _json_lines(content)
            case _:
                return self._json(content)

    def _json(self, content: bytes) -> list[Any] | dict[str, Any]:
        try:
            found = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise failed("Attempting to read JSON data that is not valid") from None
        pointer = self._config.get("ItemsPointer")
        if isinstance(pointer, str):
            found = _pointed(found, pointer)
        if isinstance(found, dict) and self._flattens:
            return _pairs(found)
        if not isinstance(found, list | dict):
            raise failed("Attempting to map over non-iterable node.")
        return found

    def _csv(self, content: bytes) -> list[Any]:
        delimiter = DELIMITERS[self._config.get("CSVDelimiter", "COMMA")]
        lines = rows(_decoded(content), delimiter)
        headers = self._headers
        if headers is None and self._config.get("CSVHeaderLocation") == "GIVEN":
            headers = self._config["CSVHeaders"]
        if headers is None:
            headers = next(lines, [])
        found = []
        for line in lines:
            found.append({
                name: line[at] if at < len(line) else "" for at, name in enumerate(headers)
            })  # fmt: skip
            if len(found) >= self._most:
                break
        return found


def reader_faults(reader: dict[str, Any]) -> list[str]:
    """Return what of an ItemReader wherry does not read; what is computed is let pass."""
    found: list[str] = []
    resource = reader.get("Resource")
    if resource not in (GET, LIST):
        return [f"Items are read by {GET} or {LIST}, not by {resource}"]
    config = reader.get("ReaderConfig") or {}
    if not isinstance(config, dict):
        return ["ReaderConfig: Expected value of type Object"]
    kind, transformation = config.get("InputType"), config.get("Transformation", "NONE")
    found += [f"Field '{name}' is not supported" for name in config if name not in CONFIG]
    if kind == "PARQUET":
        found.append("Parquet files are not read: use JSON, JSONL or CSV")
    elif kind is not None and kind not in INPUT_TYPES:
        found.append(f"InputType should be one of: [{', '.join(INPUT_TYPES)}]")
    if transformation not in ("NONE", "LOAD_AND_FLATTEN"):
        found.append("Transformation should be one of: [NONE, LOAD_AND_FLATTEN]")
    if resource == GET and kind is None and config.get("ManifestType") != "S3_INVENTORY":
        found.append("These fields are required: [InputType]")
    if transformation == "LOAD_AND_FLATTEN" and (kind is None or kind == "MANIFEST"):
        found.append("Transformation LOAD_AND_FLATTEN needs an InputType: CSV, JSON or JSONL")
    if config.get("ManifestType") not in (None, "ATHENA_DATA", "S3_INVENTORY"):
        found.append("ManifestType should be one of: [ATHENA_DATA, S3_INVENTORY]")
    if config.get("CSVDelimiter", "COMMA") not in [*DELIMITERS]:
        found.append(f"CSVDelimiter should be one of: [{', '.join(DELIMITERS)}]")
    if kind == "CSV":
        location = config.get("CSVHeaderLocation")
        if location not in ("FIRST_ROW", "GIVEN"):
            found.append("CSVHeaderLocation should be one of: [FIRST_ROW, GIVEN]")
        headers = config.get("CSVHeaders")
        if location == "GIVEN" and not (
            isinstance(headers, list) and headers and all(isinstance(h, str) for h in headers)
        ):
            found.append("CSVHeaders must be an array of texts")
    return found


def failed(cause: str) -> StatesError:
    """Return States.ItemReaderFailed."""
    return StatesError(READER, cause, final=True)


def expanded(key: str, raw: bytes) -> bytes:
    """Return the content of an object whose name says that it is compressed (.gz)."""
    if key.endswith((".zst", ".zstd")):
        raise failed(f"{key} is compressed by Zstandard, which is not read: use GZIP")
    if not key.endswith(".gz"):
        return raw
    import zlib

    unzip = zlib.decompressobj(wbits=31)
    try:
        found = unzip.decompress(raw, limits.STATE_READER_BYTES)
    except zlib.error:
        raise failed(f"{key} is no GZIP file") from None
    if unzip.unconsumed_tail:
        raise failed(f"{key} has more than {limits.STATE_READER_BYTES} bytes")
    return found


def _metadata(one: ListedObject) -> dict[str, Any]:
    return {
        "Etag": f'"{one.etag}"',
        "Key": one.key,
        "LastModified": float(one.modified_ms // 1000),  # AWS writes 1.668699881E9
        "Size": one.size_bytes,
        "StorageClass": "STANDARD",
    }


def _json_lines(content: bytes) -> list[Any]:
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, RecursionError):
                raise failed(f"Line {number} is not valid JSON") from None
    return found


def _pointed(value: Any, pointer: str) -> Any:
    """Follow a JSON Pointer (RFC 6901)."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isascii() and name.isdigit():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            raise failed(f"ItemsPointer {to_text(pointer)} points to nothing")
    return value


def _pairs(found: dict[str, Any]) -> list[Any]:
    return [{"Key": key, "Value": value} for key, value in found.items()]


def _decoded(content: bytes) -> str:
    return content.decode("utf-8-sig", "replace")


def _text(arguments: dict[str, Any], name: str) -> str:
    found = arguments.get(name)
    if not isinstance(found, str) or not found:
        raise failed(f"The field '{name}' is required but was missing")
    return found


def _split(place: str) -> tuple[str, str]:
    bucket, _, key = place.partition("/")
    return bucket, key
