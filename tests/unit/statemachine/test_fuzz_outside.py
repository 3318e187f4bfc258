"""No answer, no object, no argument and no order of events brings the interpreter down."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.statemachine.test_fuzz import (
    DATA,
    EXPRESSIONS,
    JUNK,
    PATHS,
    QUIET,
    TEMPLATES,
    TROUBLE,
    block,
    merged,
    optional,
    renamed,
    replaced,
    spots,
)
from wherry.statemachine import compile_machine, validate
from wherry.statemachine.csvfiles import rows
from wherry.statemachine.dynamo_conditions import condition
from wherry.statemachine.dynamo_syntax import Reader
from wherry.statemachine.dynamo_updates import update
from wherry.statemachine.dynamo_values import Invalid, plain_item, typed_item
from wherry.statemachine.faults import StatesError
from wherry.statemachine.integration_answers import settle
from wherry.statemachine.integration_checks import check_integrations
from wherry.statemachine.integration_fields import FIELDS
from wherry.statemachine.integrations import ItemPlan, plan
from wherry.statemachine.readers import GET, LIST, Listed, ListedObject, Reading, WantedList
from wherry.statemachine.records import (
    Begin,
    Call,
    Failed,
    Heartbeat,
    Read,
    Run,
    Stop,
    Submitted,
    Succeeded,
    TokenFailed,
    TokenSucceeded,
    Wake,
)
from wherry.statemachine.writers import Outcome, answer, files
from wherry.testing import TaskCall, TaskFailed, run_workflow
from wherry.world import Chance

MORE = settings(QUIET, max_examples=100)

# --- distributed maps ----------------------------------------------------------------------------

CONFIG = optional(
    InputType=st.sampled_from(["JSON", "CSV", "JSONL", "MANIFEST", "X"]),
    MaxItems=st.integers(0, 3),
    CSVHeaderLocation=st.sampled_from(["FIRST_ROW", "GIVEN"]),
    CSVHeaders=st.just(["a", "b"]),
    CSVDelimiter=st.sampled_from(["COMMA", "TAB"]),
    ItemsPointer=st.sampled_from(["/a", "/a/0", "", "a~2"]),
    ManifestType=st.sampled_from(["ATHENA_DATA", "S3_INVENTORY"]),
    Transformation=st.sampled_from(["NONE", "LOAD_AND_FLATTEN"]),
)
PROCESSOR = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
BATCHER = optional(
    MaxItemsPerBatch=st.integers(1, 3),
    MaxInputBytesPerBatchPath=st.just("$.n"),
    BatchInput=TEMPLATES,
)
PATH_MAP = merged(
    st.just({"Type": "Map"}),
    TROUBLE,
    block(0).map(lambda one: {"ItemProcessor": {**PROCESSOR, **one}}),
    optional(
        ItemsPath=PATHS, ItemSelector=TEMPLATES, ItemBatcher=BATCHER,
        MaxConcurrency=st.integers(0, 2), ToleratedFailureCount=st.integers(0, 2),
        ToleratedFailurePercentagePath=st.just("$.n"), ResultPath=st.just("$.a"),
        ItemReader=st.fixed_dictionaries(
            {"Resource": st.sampled_from([GET, LIST])},
            optional={"ReaderConfig": CONFIG, "Parameters": TEMPLATES},
        ),
        ResultWriter=st.fixed_dictionaries(
            {"Resource": st.just("arn:aws:states:::s3:putObject")},
            optional={"Parameters": TEMPLATES},
        ),
    ),
)  # fmt: skip
QUERY_MAP = merged(
    st.just({"Type": "Map", "QueryLanguage": "JSONata"}),
    block(0).map(lambda one: {"ItemProcessor": {**PROCESSOR, **one}}),
    optional(
        Items=EXPRESSIONS, ItemSelector=EXPRESSIONS, Output=EXPRESSIONS,
        ToleratedFailureCount=EXPRESSIONS, ItemBatcher=optional(BatchInput=EXPRESSIONS),
    ),
)  # fmt: skip


def machine_of(fields: dict[str, Any]) -> dict[str, Any]:
    states = {"M": {**fields, "Next": "Z"}, "Z": {"Type": "Succeed"}}
    return renamed({"StartAt": "M", "States": states})


DISTRIBUTED = (PATH_MAP | QUERY_MAP).map(machine_of)


@MORE
@given(DISTRIBUTED, DATA, st.lists(DATA | st.just("fail"), max_size=6), st.data())
def test_a_distributed_map_of_anything_ends(
    definition: dict[str, Any], data: Any, answers: list[Any], draw: st.DataObject
) -> None:
    if draw.draw(st.booleans()):
        place = draw.draw(st.sampled_from(spots(definition)))
        definition = replaced(definition, place, draw.draw(JUNK))
    left = list(answers)

    def tell(call: TaskCall) -> Any:
        found = left.pop() if left else call.arguments
        if found == "fail":
            raise TaskFailed("E", "c")
        return found

    if validate(definition, functions=None):
        return
    check_integrations(definition)
    assert run_workflow(definition, data, tell).status in ("SUCCEEDED", "FAILED")


# --- events in any order, and redrives -----------------------------------------------------------

NUMBERS = st.integers(0, 9)
EVENTS = st.one_of(
    st.just(Begin()),
    st.just(Wake()),
    st.just(Stop("E", "c")),
    st.just("redrive"),
    st.builds(Succeeded, NUMBERS, DATA),
    st.builds(Failed, NUMBERS, st.sampled_from(["E", "States.Timeout", "States.Runtime", None])),
    st.builds(Submitted, NUMBERS, DATA),
    st.builds(Read, NUMBERS, st.lists(DATA, max_size=3), st.just([(1, "s3://b/k")])),
    st.builds(TokenSucceeded, st.just("t"), DATA),
    st.builds(TokenFailed, st.just("t")),
    st.builds(Heartbeat, st.just("t")),
)
PLACE = "arn:aws:states:eu-central-1:123456789012"


def fresh(definition: dict[str, Any], data: Any) -> tuple[Any, Run]:
    machine = compile_machine(definition)
    run = machine.new_run(
        arn=f"{PLACE}:execution:m:r", name="r", machine_arn=f"{PLACE}:stateMachine:m",
        machine_name="m", input=data,
    )  # fmt: skip
    return machine, run


@MORE
@given(block(2).map(renamed) | DISTRIBUTED, DATA, st.lists(EVENTS, max_size=14))
def test_events_in_any_order_move_a_run_soundly(
    definition: dict[str, Any], data: Any, events: list[Any]
) -> None:
    if validate(definition, functions=None):
        return
    machine, run = fresh(definition, data)
    chance, now_ms, numbers = Chance(1), 0, []
    for event in [Begin(), *events]:
        now_ms += 1_500
        if event == "redrive":
            if machine.why_not_redrivable(run, now_ms) is not None:
                continue
            run, commands = machine.redrive(run, now_ms, chance)
        else:
            run, commands = machine.advance(run, event, now_ms, chance)
        numbers += [one.id for one in commands.history]
        run = msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=Run)
        parents = {one.parent for one in run.frames.values()} - {None}
        assert parents <= run.frames.keys()
        if run.status != "RUNNING":
            assert (run.calls, run.tokens, run.ready) == ({}, {}, [])
        else:
            assert set(run.calls.values()) <= run.frames.keys()
            assert run.frames, "something is on its way"
        held = sum(sum(one.sizes.values()) for one in run.frames.values())
        assert run.status == "SUCCEEDED" or run.variables_bytes == held
    assert numbers == list(range(1, len(numbers) + 1))


# --- integrations --------------------------------------------------------------------------------

WORDS = ["a", "b", "#n", ":v", ":w", "=", "<>", "<", ">=", "(", ")", ",", ".", "[0]", "AND", "OR",
         "NOT", "IN", "BETWEEN", "SET", "REMOVE", "ADD", "DELETE", "+", "-", "attribute_exists",
         "attribute_type", "begins_with", "contains", "size", "if_not_exists", "list_append",
         "a.b[0]", "9", "'"]  # fmt: skip
SOUP = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
ITEMS = st.dictionaries(st.sampled_from(["a", "b", "n"]), DATA, max_size=3)


@MORE
@given(SOUP, ITEMS, DATA, DATA)
def test_an_expression_of_dynamodb_is_read_or_refused(
    text: str, item: dict[str, Any], one: Any, other: Any
) -> None:
    names, values = {"#n": "n"}, {":v": one, ":w": other}
    with suppress(Invalid):
        assert condition(Reader("ConditionExpression", text, names, values))(item) in (True, False)
    before = msgspec.json.encode(item)
    with suppress(Invalid):
        after = update(Reader("UpdateExpression", text, names, values)).apply(item)
        assert plain_item(typed_item(after)) == after
    assert msgspec.json.encode(item) == before


TYPED = st.dictionaries(
    st.sampled_from(["id", "n"]),
    st.sampled_from([{"S": "x"}, {"N": "1"}, {"L": []}, {"SS": ["a"]}, {"S": 1}, "x"]),
    max_size=2,
)
ARGUMENTS = optional(
    QueueUrl=DATA, MessageBody=DATA, DelaySeconds=DATA, Entries=st.lists(DATA, max_size=2) | DATA,
    TableName=st.just("t") | DATA, Key=TYPED | DATA, Item=TYPED | DATA, UpdateExpression=SOUP,
    ConditionExpression=SOUP, ProjectionExpression=SOUP, ExpressionAttributeValues=TYPED | DATA,
    ExpressionAttributeNames=DATA, StateMachineArn=st.just("m") | DATA, Input=DATA,
    FunctionName=DATA, Payload=DATA, ReturnValues=st.sampled_from(["NONE", "ALL_OLD", "X"]),
)  # fmt: skip


@MORE
@given(st.sampled_from(sorted(FIELDS)), ARGUMENTS | DATA, ITEMS)
def test_any_arguments_are_a_plan_or_an_error(action: str, given_: Any, item: Any) -> None:
    if isinstance(given_, dict):
        given_ = {name: one for name, one in given_.items() if name in FIELDS[action]}
    with suppress(StatesError):
        found = plan(Call(1, "task", "S", f"arn:aws:states:::{action}", given_))
        if isinstance(found, ItemPlan):
            settle(found, item, "r")
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{action}", "End": True}
    definition = {"StartAt": "S", "States": {"S": {**task, "Parameters": given_}}}
    if not validate(definition):
        check_integrations(definition)


# --- readers and writers -------------------------------------------------------------------------

TEXTS = st.text('ab,"\\\n\r|{}[]:1 \t', max_size=40)
CONTENTS = TEXTS.map(str.encode) | st.binary(max_size=20) | DATA.map(msgspec.json.encode)


@MORE
@given(TEXTS, st.sampled_from([",", "|", "\t", " "]))
def test_any_text_has_rows(text: str, delimiter: str) -> None:
    for row in rows(text, delimiter):
        assert row
        assert "".join(row).isprintable() or any(mark in "".join(row) for mark in "\n\r\t")


@MORE
@given(
    st.sampled_from([GET, LIST]), CONFIG, st.lists(CONTENTS, min_size=1, max_size=4),
    st.sampled_from(["k", "k.gz", "k.zst", "k/"]),
)  # fmt: skip
def test_any_objects_are_items_or_an_error(
    resource: str, config: dict[str, Any], contents: list[bytes], key: str
) -> None:
    call = Call(1, "items", "S", resource, {"Bucket": "b", "Key": key}, config=config)
    left = list(contents)
    with suppress(StatesError):
        reading = Reading(call)
        while (wanted := reading.wanted) is not None:
            content = left.pop() if left else None
            if isinstance(wanted, WantedList):
                reading.take(Listed([ListedObject(key, 1, "e", 1)], "k" if content else None))
            else:
                reading.take(content)
        found = reading.event()
        assert len(found.items) <= max(1, config.get("MaxItems") or 10**9)
        assert sum(count for count, _ in found.sources) >= len(found.items)


@MORE
@given(
    st.lists(st.tuples(st.sampled_from(["SUCCEEDED", "FAILED", "PENDING", "ABORTED"]), DATA)),
    optional(
        Transformation=st.sampled_from(["NONE", "COMPACT", "FLATTEN"]),
        OutputType=st.sampled_from(["JSON", "JSONL"]),
    ),
)
def test_any_results_are_files_that_the_manifest_lists(
    results: list[tuple[str, Any]], config: dict[str, Any]
) -> None:
    call = Call(
        1, "results", "S", "arn:aws:states:::s3:putObject", {"Bucket": "b", "Prefix": "p/"},
        map_run="arn:x:1-2", config=config,
    )  # fmt: skip
    *found, manifest = files(call, [Outcome(one, status, output=one) for status, one in results])
    listed = msgspec.json.decode(manifest.body)["ResultFiles"]
    told = [one["Key"] for group in listed.values() for one in group]
    assert sorted(told) == sorted(one.key for one in found)
    assert answer(call)["ResultWriterDetails"]["Key"] == manifest.key
    for one in found:
        for line in one.body.splitlines() if config.get("OutputType") == "JSONL" else [one.body]:
            msgspec.json.decode(line)
