"""Event patterns: `$or`, arrays of objects, keys that are there twice, and the canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wherry import limits, patterns
from wherry.errors import PatternInvalid
from wherry.patterns import compile, matches

# --- $or --------------------------------------------------------------------------------------

NORMAL: dict[str, Any] = {
    "source": ["aws.cloudwatch"],
    "$or": [
        {"metricName": ["CPUUtilization", "ReadLatency"]},
        {
            "metricType": ["MetricType"],
            "namespace": ["AWS/EC2", "AWS/ES"],
            "$or": [{"metricId": [1234]}, {"spaceId": [1000]}],
        },
        {"scope": ["Service"]},
    ],
}
PARALLEL: dict[str, Any] = {
    "$or": [{"a": ["1"]}, {"b": ["1"]}],
    "detail": {"$or": [{"c": ["1"]}, {"d": [{"exists": False}]}]},
}
# Rules are made in the order of the document, and the last place of a path counts.
INSIDE_LAST: dict[str, Any] = {"a": ["1"], "$or": [{"a": ["2"]}, {"b": ["3"]}]}
OUTSIDE_LAST: dict[str, Any] = {"$or": [{"a": ["2"]}, {"b": ["3"]}], "a": ["1"]}

OR = [
    (NORMAL, {"source": "aws.cloudwatch", "scope": "Service"}, True),
    (NORMAL, {"source": "aws.cloudwatch"}, False),
    (NORMAL, {"source": "aws.ec2", "scope": "Service"}, False),
    (NORMAL, {"source": "aws.cloudwatch", "metricName": "ReadLatency"}, True),
    (
        NORMAL,
        {
            "source": "aws.cloudwatch",
            "metricType": "MetricType",
            "namespace": "AWS/ES",
            "spaceId": 1000,
        },
        True,
    ),
    (
        NORMAL,
        {"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/ES"},
        False,
    ),
    (PARALLEL, {"a": "1", "detail": {"c": "1"}}, True),
    (PARALLEL, {"b": "1", "detail": {"c": "2"}}, True),
    (PARALLEL, {"b": "1", "detail": {"d": "2"}}, False),
    (PARALLEL, {"detail": {"c": "1"}}, False),
    (INSIDE_LAST, {"a": "2"}, True),
    (INSIDE_LAST, {"a": "1"}, False),
    (INSIDE_LAST, {"a": "1", "b": "3"}, True),
    (OUTSIDE_LAST, {"a": "2"}, False),
    (OUTSIDE_LAST, {"a": "1"}, True),
]


@pytest.mark.parametrize(("pattern", "event", "expected"), OR)
def test_or(pattern: dict[str, Any], event: dict[str, Any], expected: bool) -> None:
    """`$or` is true if a branch is, beside all that stands around it, at any depth."""
    assert matches(pattern, event) is expected


PLAIN_NAMES = [
    ({"$or": {"a": ["1"], "b": ["2"]}}, {"$or": {"a": "1", "b": "2"}}, {"a": "1", "b": "2"}),
    ({"$or": ["a", "b"]}, {"$or": "b"}, {"$or": "c"}),
    ({"$or": [{"cidr": "10.0.0.0/24"}]}, {"$or": "10.0.0.1"}, {"$or": "10.0.1.1"}),
    (
        {"d": {"$or": [{"numeric": [">", 0, "<=", 5]}, {"numeric": [">", 10]}]}},
        {"d": {"$or": 11}},
        {"d": {"$or": 7}},
    ),
    ({"$or": [{"prefix": "a"}, {"suffix": "b"}]}, {"$or": "xb"}, {"prefix": "a"}),
]


@pytest.mark.parametrize(("pattern", "good", "bad"), PLAIN_NAMES)
def test_or_is_the_name_of_a_field_where_it_can_be_no_operator(
    pattern: dict[str, Any], good: dict[str, Any], bad: dict[str, Any]
) -> None:
    """An object, a single branch or names of operators in it: the field is called `$or`."""
    assert matches(pattern, good)
    assert not matches(pattern, bad)


# --- arrays -----------------------------------------------------------------------------------

EMPLOYEES = {
    "employees": [
        {"firstName": "John", "lastName": "Doe"},
        {"firstName": "Anna", "lastName": "Smith"},
        {"firstName": "Peter", "lastName": "Jones"},
    ]
}
NESTED = {"employees": [EMPLOYEES["employees"][:2], EMPLOYEES["employees"][2:]]}
SONGS = {
    "Year": 1966,
    "Genres": [{"Pop": True}, {"Classical": False}],
    "Songs": [
        {
            "Name": "Paperback Writer",
            "Writers": [
                {"First": "John", "Last": "Lennon"},
                {"First": "Paul", "Last": "McCartney"},
            ],
        },
        {
            "Name": "Paint It Black",
            "Writers": [
                {"First": "Mick", "Last": "Jagger"},
                {"First": "Keith", "Last": "Richards"},
            ],
        },
    ],
}


def songs(name: str | None = None, first: str | None = None, last: str | None = None) -> Any:
    writers = {"First": [first] if first else None, "Last": [last] if last else None}
    inner = {key: value for key, value in writers.items() if value}
    found: dict[str, Any] = {"Name": [name]} if name else {}
    return found | ({"Writers": inner} if inner else {})


ARRAYS = [
    ({"employees": {"firstName": ["Anna"]}}, EMPLOYEES, True),
    ({"employees": {"firstName": ["Anna"], "lastName": ["Smith"]}}, EMPLOYEES, True),
    ({"employees": {"firstName": ["Anna"], "lastName": ["Jones"]}}, EMPLOYEES, False),
    ({"employees": {"firstName": ["Anna"]}}, NESTED, True),
    ({"employees": {"firstName": ["Anna"], "lastName": ["Smith"]}}, NESTED, True),
    ({"employees": {"firstName": ["Anna"], "lastName": ["Doe"]}}, NESTED, False),
    ({"employees": {"firstName": ["Anna"], "lastName": ["Jones"]}}, NESTED, False),
    ({"Year": [1966], "Songs": songs("Paperback Writer", "Paul", "McCartney")}, SONGS, True),
    ({"Genres": {"Pop": [True]}, "Songs": songs("Paint It Black")}, SONGS, True),
    ({"Year": [1966], "Songs": songs("Paperback Writer", "Mick")}, SONGS, False),
    ({"Songs": songs(None, "Mick", "McCartney")}, SONGS, False),
    ({"Genres": {"Pop": [True], "Classical": [False]}}, SONGS, False),
    # elements that are values themselves belong to no element
    ({"tags": ["a"], "cats": ["y"]}, {"tags": ["a", "b"], "cats": ["x", "y"]}, True),
    ({"d": {"tags": ["a"], "n": [1]}}, {"d": [{"tags": ["b", "a"], "n": 1}]}, True),
    ({"d": {"tags": ["a"], "n": [1]}}, {"d": [{"tags": ["a"]}, {"n": 1}]}, False),
    # a value beside objects in one array
    ({"d": [5], "d.x": [1]}, {"d": [5, {"x": 1}]}, True),
    ({"d": [5], "d.x": [1]}, {"d": [[5], {"x": 1}]}, False),
    ({"d": [5], "d.x": [1]}, {"d": [[5, {"x": 1}]]}, True),
    # two arrays are independent, also where one is in an element of another
    ({"a": {"x": [1]}, "b": {"x": [2]}}, {"a": [{"x": 0}, {"x": 1}], "b": [{"x": 2}]}, True),
    ({"d": {"a": {"x": [1]}, "b": {"x": [2]}}}, {"d": [{"a": [{"x": 1}]}, {"b": {"x": 2}}]}, False),
    ({"d": {"a": {"x": [1]}, "b": {"x": [2]}}}, {"d": [{"a": [{"x": 1}], "b": {"x": 2}}]}, True),
    # one path through two arrays
    ({"a": {"b": {"x": [1], "y": [2]}}}, {"a": [{"b": [{"x": 1}]}], "a.b": [{"y": 2}]}, True),
    # absence, for the elements that are chosen already (paths are taken in their order)
    ({"d": {"a": ["1"], "b": [{"exists": False}]}}, {"d": [{"a": "1"}, {"b": "2"}]}, True),
    ({"d": {"a": ["1"], "b": [{"exists": False}]}}, {"d": [{"a": "1", "b": "2"}]}, False),
    ({"d": {"b": ["1"], "a": [{"exists": False}]}}, {"d": [{"b": "1"}, {"a": "2"}]}, False),
    ({"d": {"a": ["1"], "b": [{"exists": False}, "3"]}}, {"d": [{"a": "1", "b": "3"}]}, True),
    ({"d": {"a": [{"exists": True}]}}, {"d": []}, False),
    ({"d": {"a": [{"exists": False}]}}, {"d": [{}, {"b": 1}]}, True),
    ({"i": {"p": [{"numeric": [">", 0, "<", 100]}], "n": ["g"]}},
     {"i": [{"n": "w", "p": 50}, {"n": "g", "p": 200}]}, False),
    ({"u": {"s": [{"anything-but": "banned"}], "n": ["bob"]}},
     {"u": [{"n": "alice", "s": "banned"}, {"n": "bob", "s": "active"}]}, True),
    ({"u": {"s": [{"anything-but": "banned"}], "n": ["alice"]}},
     {"u": [{"n": "alice", "s": "banned"}, {"n": "bob", "s": "active"}]}, False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "event", "expected"), ARRAYS)
def test_a_match_lies_in_one_element_of_each_array(
    pattern: dict[str, Any], event: dict[str, Any], expected: bool
) -> None:
    """Fields of different elements of one array are never taken together."""
    assert matches(pattern, event) is expected


def test_large_arrays_are_no_trouble() -> None:
    """Hundreds of elements with a hundred fields asked for: steps stay in proportion."""
    names = [f"f{number}" for number in range(100)]
    pattern = compile({"d": {name: [1] for name in names}})
    elements = [dict.fromkeys(names, 1) | {f"f{place % 100}": 2} for place in range(500)]
    assert not pattern.matches({"d": elements})
    assert pattern.matches({"d": [*elements, dict.fromkeys(names, 1)]})


def test_a_search_that_explodes_is_given_up() -> None:
    """Where one path leads to many arrays, an event that needs too many steps does not match."""
    parts = [f"a{'!' * number}" for number in range(12)]
    pattern = compile({part: ["x"] for part in parts} | {f"{part}.y": ["x"] for part in parts})
    assert pattern.matches({part: [["x", {"y": "x"}]] for part in parts})
    apart = [["x", {"y": "z"}], ["z", {"y": "x"}]] * 10
    assert not pattern.matches(dict.fromkeys(parts, apart))


def test_long_paths_are_no_trouble() -> None:
    """A name with many dots compiles at once, and however an event cuts it, it is found."""
    names = [f"n{number}" for number in range(100)]
    path = ".".join(names)
    pattern = compile({path: ["x"], "n0": {"n1": ["y"]}})
    nested: Any = "x"
    for name in reversed(names):
        nested = {name: nested}
    for event in (nested, {path: "x"}, {".".join(names[:50]): {".".join(names[50:]): "x"}}):
        assert pattern.matches({**event, "n0.n1": "y"})
        assert not pattern.matches(event)


# --- duplicate keys and the canonical form ----------------------------------------------------


def test_the_last_of_equal_keys_counts() -> None:
    """In JSON text; objects under one key are all asked for, as event-ruler does."""
    last = (
        '{"detail": {"location": [{"prefix": "us-"}], "location": [{"anything-but": "us-east"}]}}'
    )
    assert matches(last, {"detail": {"location": "eu-central-1"}})
    both = '{"a": {"b": [1]}, "a": {"c": [2]}}'
    assert matches(both, {"a": {"b": 1, "c": 2}})
    assert not matches(both, {"a": {"c": 2}})
    leaf_and_object = '{"l": {"points": [2.5], "points": {"pp": ["i0"]}}}'
    assert matches(leaf_and_object, {"l": [{"points": [[[{"pp": "i0"}, 1.5, 2.5]]]}]})
    assert not matches(leaf_and_object, {"l": [{"points": [[[{"pp": "i0"}, 1.5], [2.5]]]}]})


def test_one_pattern_has_one_form() -> None:
    """Order of keys, spaces and spellings of a number make no difference."""
    one = compile('{ "b": {"y": [300.0], "x": ["\\u00e9"]}, "a": [1e2, null] }')
    other = compile({"a": [100, None], "b": {"x": ["\u00e9"], "y": [300]}})
    assert one.json == other.json == '{"a":[100,null],"b":{"x":["\u00e9"],"y":[300]}}'
    assert one == other
    assert hash(one) == hash(other)
    assert one != compile({"a": [100]})
    assert repr(other) == f"Pattern({other.json})"


FORMS: list[Any] = [
    NORMAL, PARALLEL, INSIDE_LAST, OUTSIDE_LAST, *(pattern for pattern, _, _ in PLAIN_NAMES),
    '{"a": ["1"], "a": ["2"]}',
    '{"x": [1e400, 9007199254740993, 1e23, 1.5, -0.0]}',
    {"x": [10**40, 1e300, 0.1, "\"\\\n", True]},
]  # fmt: skip


@pytest.mark.parametrize("pattern", FORMS, ids=range(len(FORMS)))
def test_the_canonical_form_compiles_to_itself(pattern: Any) -> None:
    """And it matches what the pattern matches."""
    compiled = compile(pattern)
    again = compile(compiled.json)
    assert again.json == compiled.json
    assert again.machine == compiled.machine
    for _, event, _ in [*OR, *PLAIN_NAMES]:
        assert again.matches(event) is compiled.matches(event)


def test_order_is_kept_only_where_it_means_something() -> None:
    """A field that is named outside and inside of `$or` keeps its place."""
    assert compile(INSIDE_LAST).json.startswith('{"a"')
    assert compile(OUTSIDE_LAST).json.startswith('{"$or"')
    assert compile(NORMAL).json.startswith('{"$or"')


def test_a_pattern_cannot_be_changed() -> None:
    """Nor by changing what it was compiled from."""
    source = {"a": ["x"]}
    pattern = compile(source)
    source["a"].append("y")
    assert not pattern.matches({"a": "y"})
    with pytest.raises(AttributeError):
        pattern.json = "{}"  # type: ignore[misc]


def test_the_longest_pattern_is_taken() -> None:
    """The bound is on the text as it is given."""
    text = json.dumps({"a": ["x" * (limits.PATTERN_LENGTH - 11)]})
    assert len(text) == limits.PATTERN_LENGTH
    assert patterns.check(text) == []
    assert patterns.check(text + " ") != []


def test_the_fields_that_a_pattern_asks_for_are_known() -> None:
    """Those of every branch of `$or`, each once; a pattern that is refused has none."""
    asked = {"a": {"b": [1]}, "c.d": ["x"], "$or": [{"e": [1]}, {"a": {"b": [2]}, "f": [2]}]}
    assert patterns.fields(asked) == ["a.b", "c.d", "e", "f"]
    with pytest.raises(PatternInvalid):
        patterns.fields({"a": "x"})
