"""ItemReader and ResultWriter: objects become items, results become objects."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from tests.unit.statemachine.machines import run
from tests.unit.statemachine.test_branches import distributed
from wherry.statemachine import validate
from wherry.statemachine.csvfiles import rows
from wherry.statemachine.faults import StatesError
from wherry.statemachine.machine import compile_machine
from wherry.statemachine.readers import (
    GET,
    LIST,
    Listed,
    ListedObject,
    Reading,
    WantedList,
    WantedObject,
    reader_faults,
)
from wherry.statemachine.records import Begin, Call, Commands, Event, Read, Run, Succeeded
from wherry.statemachine.writers import Outcome, answer, files
from wherry.world import Chance

# --- text files with delimiters ------------------------------------------------------------------

ROWS: list[tuple[str, str, list[list[str]]]] = [
    ("", ",", []),
    ("a,b", ",", [["a", "b"]]),
    ("a,b\n1,2\n", ",", [["a", "b"], ["1", "2"]]),
    ("a\r\nb\rc", ",", [["a"], ["b"], ["c"]]),
    ("a\n\n\nb", ",", [["a"], ["b"]]),
    (",", ",", [["", ""]]),
    ('"a,b",c', ",", [["a,b", "c"]]),
    ('"a\nb",c', ",", [["a\nb", "c"]]),
    ('"say ""hi""",c', ",", [['say "hi"', "c"]]),
    ('{""k"":""v""},"[1,2]"', ",", [['{"k":"v"}', "[1,2]"]]),
    ("a|b|c,d", "|", [["a", "b", "c,d"]]),
    ("C:\\\\Program Files\\\\x.exe,6", ",", [["C:\\Program Files\\x.exe", "6"]]),
    ("a\\,b,c", ",", [["a,b", "c"]]),
    ("a\\nb,c", ",", [["anb", "c"]]),
    ('a\\"b', ",", [['a"b']]),
    ("a b\tc", "\t", [["a b", "c"]]),
    ('""', ",", [[""]]),
    ('"open', ",", [["open"]]),
]


@pytest.mark.parametrize(("text", "delimiter", "found"), ROWS)
def test_a_text_file_is_cut_into_rows(text: str, delimiter: str, found: list[list[str]]) -> None:
    assert list(rows(text, delimiter)) == found


def test_the_documentation_s_row_is_read_as_it_says() -> None:
    text = 'abc,123,"commas, a double quotation marks (""), and a newline (\n)",{""K"":""V""},"[1]"'
    assert list(rows(text, ",")) == [
        [
            "abc",
            "123",
            'commas, a double quotation marks ("), and a newline (\n)',
            '{"K":"V"}',
            "[1]",
        ]
    ]


# --- reading -------------------------------------------------------------------------------------

OBJECTS = {
    "l.json": b'[{"id":1},{"id":2},{"id":3}]',
    "o.json": b'{"a":1,"b":2}',
    "deep.json": b'{"x":{"y/z":[7,8]}}',
    "n.json": b"5",
    "l.jsonl": b'{"id":1}\n\n{"id":2}\n',
    "bad.jsonl": b"{}\n{",
    "bad.json": b"[",
    "h.csv": b"id,name\n1,Ann\n2\n3,Cy,more\n",
    "n.csv": b"1|Ann\n2|Bo\n",
    "bom.csv": b"\xef\xbb\xbfid\n1\n",
    "z.json.gz": gzip.compress(b"[1,2]"),
    "fake.json.gz": b"[1,2]",
    "m/manifest.json": b'{"destinationBucket":"arn:aws:s3:::b","fileFormat":"CSV","fileSchema":'
    b'"Bucket, Key, Size","files":[{"key":"m/1.csv.gz"},{"key":"m/2.csv"}]}',
    "m/1.csv.gz": gzip.compress(b'"src","a","5"\n'),
    "m/2.csv": b'"src","b","6"\n',
    "athena.csv": b"s3://b/l.jsonl\ns3://b/l.jsonl\n",
    "p/": b"",
    "p/1.json": b"[1,2]",
    "p/2.json": b'{"k":3}',
}


def items_call(resource: str, arguments: dict[str, Any], **config: Any) -> Call:
    return Call(4, "items", "S", resource, arguments, config=config)


def read_all(call: Call, page: int = 2) -> Read:
    """Read from OBJECTS, lists in pages."""
    reading = Reading(call)
    while (wanted := reading.wanted) is not None:
        if isinstance(wanted, WantedObject):
            assert wanted.bucket == "b"
            reading.take(OBJECTS.get(wanted.key))
            continue
        keys = [
            key for key in sorted(OBJECTS)
            if key.startswith(wanted.prefix) and key > (wanted.after or "")
        ]  # fmt: skip
        found = [ListedObject(key, len(OBJECTS[key]), "e1", 1_668_699_881_500) for key in keys]
        reading.take(Listed(found[:page], found[page - 1].key if len(found) > page else None))
    return reading.event()


READS: list[tuple[str, dict[str, Any], Any]] = [
    ("l.json", {"InputType": "JSON"}, [{"id": 1}, {"id": 2}, {"id": 3}]),
    ("l.json", {"InputType": "JSON", "MaxItems": 2}, [{"id": 1}, {"id": 2}]),
    ("o.json", {"InputType": "JSON"}, {"a": 1, "b": 2}),
    ("o.json", {"InputType": "JSON", "MaxItems": 1}, {"a": 1}),
    ("deep.json", {"InputType": "JSON", "ItemsPointer": "/x/y~1z"}, [7, 8]),
    ("l.jsonl", {"InputType": "JSONL"}, [{"id": 1}, {"id": 2}]),
    ("z.json.gz", {"InputType": "JSON"}, [1, 2]),
    (
        "h.csv", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
        [{"id": "1", "name": "Ann"}, {"id": "2", "name": ""}, {"id": "3", "name": "Cy"}],
    ),
    (
        "h.csv", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItems": 1},
        [{"id": "1", "name": "Ann"}],
    ),
    (
        "n.csv",
        {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["i", "n"],
         "CSVDelimiter": "PIPE"},
        [{"i": "1", "n": "Ann"}, {"i": "2", "n": "Bo"}],
    ),
    ("bom.csv", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, [{"id": "1"}]),
    (
        "m/manifest.json", {"InputType": "MANIFEST"},
        [{"Bucket": "src", "Key": "a", "Size": "5"}, {"Bucket": "src", "Key": "b", "Size": "6"}],
    ),
    (
        "m/manifest.json", {"ManifestType": "S3_INVENTORY", "MaxItems": 1},
        [{"Bucket": "src", "Key": "a", "Size": "5"}],
    ),
    (
        "athena.csv", {"ManifestType": "ATHENA_DATA", "InputType": "JSONL", "MaxItems": 3},
        [{"id": 1}, {"id": 2}, {"id": 1}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "config", "items"), READS)
def test_an_object_is_read_into_items(key: str, config: dict[str, Any], items: Any) -> None:
    assert read_all(items_call(GET, {"Bucket": "b", "Key": key}, **config)).items == items


def test_a_list_of_objects_gives_what_s3_tells_of_them() -> None:
    found = read_all(items_call(LIST, {"Bucket": "b", "Prefix": "p/"}))
    items: Any = found.items
    assert [one["Key"] for one in items] == ["p/", "p/1.json", "p/2.json"]
    assert items[1] == {
        "Etag": '"e1"', "Key": "p/1.json", "LastModified": 1_668_699_881, "Size": 5,
        "StorageClass": "STANDARD",
    }  # fmt: skip
    assert isinstance(items[1]["LastModified"], float), "AWS shows 1.668699881E9"
    assert sum(count for count, _ in found.sources) == 3
    assert {source for _, source in found.sources} == {"s3://b"}
    assert len(read_all(items_call(LIST, {"Bucket": "b"}, MaxItems=2)).items) == 2


def test_listed_objects_are_read_and_put_together() -> None:
    config = {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"}
    found = read_all(items_call(LIST, {"Bucket": "b", "Prefix": "p/"}, **config))
    assert found.items == [1, 2, {"Key": "k", "Value": 3}]
    assert found.sources == [(2, "s3://b/p/1.json"), (1, "s3://b/p/2.json")]


FAILS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (GET, {"Bucket": "b", "Key": "gone"}, {"InputType": "JSON"}, "does not exist: s3://b/gone"),
    (GET, {"Bucket": "b"}, {"InputType": "JSON"}, "'Key' is required"),
    (GET, {"Key": "k"}, {"InputType": "JSON"}, "'Bucket' is required"),
    (GET, {"Bucket": "b", "Key": "bad.json"}, {"InputType": "JSON"}, "not valid"),
    (GET, {"Bucket": "b", "Key": "n.json"}, {"InputType": "JSON"}, "non-iterable"),
    (GET, {"Bucket": "b", "Key": "bad.jsonl"}, {"InputType": "JSONL"}, "Line 2"),
    (GET, {"Bucket": "b", "Key": "fake.json.gz"}, {"InputType": "JSON"}, "no GZIP"),
    (GET, {"Bucket": "b", "Key": "x.csv.zst"}, {"InputType": "CSV"}, "CSVHeaderLocation"),
    (GET, {"Bucket": "b", "Key": "l.json"}, {"InputType": "MANIFEST"}, "inventory"),
    (GET, {"Bucket": "b", "Key": "l.json"}, {"InputType": "PARQUET"}, "Parquet"),
    (GET, {"Bucket": "b", "Key": "l.json"}, {}, "[InputType]"),
    ("arn:aws:states:::s3:headObject", {"Bucket": "b"}, {}, "s3:getObject"),
    (
        GET, {"Bucket": "b", "Key": "deep.json"}, {"InputType": "JSON", "ItemsPointer": "/x/gone"},
        "points to nothing",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "arguments", "config", "cause"), FAILS)
def test_what_cannot_be_read_is_item_reader_failed(
    resource: str, arguments: dict[str, Any], config: dict[str, Any], cause: str
) -> None:
    with pytest.raises(StatesError) as caught:
        read_all(items_call(resource, arguments, **config))
    assert caught.value.error == "States.ItemReaderFailed"
    assert cause in str(caught.value.cause)


def test_a_bucket_that_is_not_there_is_item_reader_failed() -> None:
    reading = Reading(items_call(LIST, {"Bucket": "x"}))
    assert isinstance(reading.wanted, WantedList)
    with pytest.raises(StatesError, match="bucket does not exist"):
        reading.take(None)


def test_faults_of_a_reader_are_found_before_it_reads() -> None:
    good = {"Resource": GET, "ReaderConfig": {"InputType": "JSON", "MaxItemsPath": "$.n"}}
    assert reader_faults(good) == []
    assert reader_faults({"Resource": LIST}) == []
    assert reader_faults({"Resource": GET, "ReaderConfig": {"InputType": "JSON", "X": 1}}) != []
    flat = {"Transformation": "LOAD_AND_FLATTEN"}
    assert reader_faults({"Resource": LIST, "ReaderConfig": flat}) != []


# --- in a machine --------------------------------------------------------------------------------


class Steps:
    """A distributed Map over what is read, one event at a time."""

    def __init__(self, definition: dict[str, Any], data: Any) -> None:
        self.machine = compile_machine(definition)
        place = "arn:aws:states:eu-central-1:123456789012"
        self.run: Run = self.machine.new_run(
            arn=f"{place}:execution:m:e", name="e", machine_arn=f"{place}:stateMachine:m",
            machine_name="m", input=data,
        )  # fmt: skip
        self.chance = Chance(1)

    def step(self, event: Event) -> Commands:
        self.run, commands = self.machine.advance(self.run, event, 0, self.chance)
        return commands


def test_items_know_where_they_were_read_from() -> None:
    selector = {"s.$": "$$.Map.Item.Source", "v.$": "$$.Map.Item.Value"}
    reader = {"Resource": LIST, "ReaderConfig": {"MaxItemsPath": "$.n"}}
    machine = distributed({"Type": "Pass"}, ItemReader=reader, ItemSelector=selector)
    steps = Steps(machine, {"n": 2})
    (call,) = steps.step(Begin()).calls
    assert call.config == {"MaxItems": 2}
    children = steps.step(Read(call.id, [1, 2, 3], [(1, "s3://b/1"), (9, "s3://b/2")])).calls
    assert [one.arguments for one in children] == [
        {"s": "s3://b/1", "v": 1}, {"s": "s3://b/2", "v": 2},
    ]  # fmt: skip


def test_an_object_s_fields_are_read_as_keys_and_values() -> None:
    machine = distributed({"Type": "Pass"}, ItemReader={"Resource": GET})
    steps = Steps(machine, {})
    (call,) = steps.step(Begin()).calls
    children = steps.step(Read(call.id, {"a": 1})).calls
    assert [one.arguments for one in children] == [{"Key": "a", "Value": 1}]


def test_an_item_of_the_state_s_own_data_says_so() -> None:
    selector = {"s.$": "$$.Map.Item.Source"}
    assert run(distributed({"Type": "Pass"}, ItemSelector=selector), [1]) == [{"s": "STATE_DATA"}]


# --- writing -------------------------------------------------------------------------------------

RUN_ARN = "arn:aws:states:eu-central-1:123456789012:mapRun:m/Map:1-2-3"


def results_call(arguments: Any, results: list[Any] | None = None, **config: Any) -> Call:
    resource = "" if arguments is None else "arn:aws:states:::s3:putObject"
    return Call(
        9, "results", "S", resource, arguments, map_run=RUN_ARN, config=config,
        results=results or [],
    )  # fmt: skip


def done(output: Any) -> Outcome:
    return Outcome([1], "SUCCEEDED", "arn:c", "arn:m", "c", output, None, None, 1000, 2500)


FAILED = Outcome({"i": 1}, "TIMED_OUT", "arn:c", "arn:m", "c", None, "E", "why", 0, 1)


def written(call: Call, *outcomes: Outcome) -> dict[str, Any]:
    return {one.key: one.body.decode() for one in files(call, list(outcomes))}


def test_results_go_into_files_by_status_and_a_manifest() -> None:
    call = results_call({"Bucket": "b", "Prefix": "jobs"})
    found = written(call, done({"o": 1}), FAILED, Outcome("p"))
    assert list(found) == [
        "jobs/1-2-3/FAILED_0.json", "jobs/1-2-3/PENDING_0.json", "jobs/1-2-3/SUCCEEDED_0.json",
        "jobs/1-2-3/manifest.json",
    ]  # fmt: skip
    assert msgspec.json.decode(found["jobs/1-2-3/SUCCEEDED_0.json"]) == [{
        "ExecutionArn": "arn:c", "Input": "[1]", "InputDetails": {"Included": True}, "Name": "c",
        "Output": '{"o":1}', "OutputDetails": {"Included": True}, "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        "StartDate": "1970-01-01T00:00:01.000Z", "StateMachineArn": "arn:m",
        "Status": "SUCCEEDED", "StopDate": "1970-01-01T00:00:02.500Z",
    }]  # fmt: skip
    (failure,) = msgspec.json.decode(found["jobs/1-2-3/FAILED_0.json"])
    assert (failure["Cause"], failure["Error"], failure["Status"]) == ("why", "E", "TIMED_OUT")
    manifest = msgspec.json.decode(found["jobs/1-2-3/manifest.json"])
    size = len(found["jobs/1-2-3/FAILED_0.json"])
    assert manifest["DestinationBucket"] == "b"
    assert manifest["MapRunArn"] == RUN_ARN
    assert list(manifest["ResultFiles"]) == ["FAILED", "PENDING", "SUCCEEDED"]
    assert manifest["ResultFiles"]["FAILED"] == [{"Key": "jobs/1-2-3/FAILED_0.json", "Size": size}]
    assert answer(call) == {
        "MapRunArn": RUN_ARN,
        "ResultWriterDetails": {"Bucket": "b", "Key": "jobs/1-2-3/manifest.json"},
    }


FORMS: list[tuple[dict[str, Any], str]] = [
    ({"Transformation": "COMPACT"}, "[[1,2],3]"),
    ({"Transformation": "FLATTEN"}, "[1,2,3]"),
    ({"Transformation": "FLATTEN", "OutputType": "JSONL"}, "1\n2\n3"),
    ({"Transformation": "COMPACT", "OutputType": "JSONL"}, "[1,2]\n3"),
]


@pytest.mark.parametrize(("config", "body"), FORMS)
def test_results_are_transformed_as_is_asked_for(config: dict[str, Any], body: str) -> None:
    found = written(results_call({"Bucket": "b"}, **config), done([1, 2]), done(3))
    assert next(iter(found.values())) == body


PASSED: list[tuple[dict[str, Any], Any]] = [
    ({}, [[1, 2], 3]),
    ({"Transformation": "COMPACT"}, [[1, 2], 3]),
    ({"Transformation": "FLATTEN"}, [1, 2, 3]),
    ({"Transformation": "FLATTEN", "OutputType": "JSONL"}, "1\n2\n3"),
]


@pytest.mark.parametrize(("config", "output"), PASSED)
def test_results_that_go_nowhere_are_the_map_s_output(config: dict[str, Any], output: Any) -> None:
    writer = {"WriterConfig": config}
    assert run(distributed({"Type": "Pass"}, ResultWriter=writer), [[1, 2], 3]) == output


def test_a_writer_without_a_bucket_fails_the_map() -> None:
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {}}
    error, _ = run(distributed({"Type": "Pass"}, ResultWriter=writer), [1])
    assert error == "States.ResultWriterFailed"


def test_a_writer_without_a_bucket_fails() -> None:
    with pytest.raises(StatesError) as caught:
        list(files(results_call({}), []))
    assert caught.value.error == "States.ResultWriterFailed"


def test_a_succeeded_event_with_a_list_is_taken_too() -> None:
    machine = distributed({"Type": "Pass"}, ItemReader={"Resource": GET})
    steps = Steps(machine, {})
    (call,) = steps.step(Begin()).calls
    assert len(steps.step(Succeeded(call.id, [1, 2])).calls) == 2


# --- validation ----------------------------------------------------------------------------------

OUTSIDE: list[tuple[dict[str, Any], list[str]]] = [
    ({"ItemReader": {"Resource": GET, "Parameters": {"Key.$": "$.k"}}}, []),
    ({"ItemReader": {"Resource": GET, "ReaderConfig": {"MaxItems": 5}}}, []),
    ({"ResultWriter": {"WriterConfig": {"OutputType": "JSONL"}}}, []),
    ({"ItemReader": {}}, ["[Resource]", "Value cannot be empty"]),
    ({"ItemReader": {"Resource": 5}}, ["Expected value of type [STRING]"]),
    ({"ItemReader": {"Resource": GET, "X": 1}}, ["Field 'X' is not supported"]),
    ({"ItemReader": {"Resource": GET, "Arguments": {}}}, ["only supported for the 'JSONata'"]),
    ({"ItemReader": {"Resource": GET, "Parameters": {"k.$": "("}}}, ["valid JSONPath"]),
    ({"ItemReader": {"Resource": GET, "ReaderConfig": "x"}}, ["Expected value of type Object"]),
    ({"ItemReader": {"Resource": GET, "ReaderConfig": {"X": 1}}}, ["Field 'X' is not supported"]),
    ({"ItemReader": {"Resource": GET, "ReaderConfig": {"MaxItems": "x"}}}, ["Integer"]),
    ({"ResultWriter": {}}, ["Value cannot be empty"]),
    ({"ResultWriter": {"WriterConfig": {"X": 1}}}, ["Field 'X' is not supported"]),
]


@pytest.mark.parametrize(("fields", "words"), OUTSIDE)
def test_readers_and_writers_are_validated(fields: dict[str, Any], words: list[str]) -> None:
    found = [str(one) for one in validate(distributed({"Type": "Pass"}, **fields))]
    assert [word in one for word, one in zip(words, found, strict=True)] == [True] * len(words)
