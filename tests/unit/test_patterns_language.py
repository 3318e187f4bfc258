"""Event patterns, as the tables of AWS's documentation and of event-ruler's read."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.patterns import matches

EVENT = {
    "version": "0",
    "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "111122223333",
    "time": "2017-12-22T18:43:48Z",
    "region": "us-west-1",
    "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
    "detail": {
        "instance-id": "i-1234567890abcdef0",
        "state": "running",
        "c-count": 5,
        "d-count": 3,
        "x-limit": 301.8,
        "source-ip": "10.0.0.33",
        "eventVersion": "",
        "responseElements": None,
        "dry": False,
    },
}

WHOLE_EVENT = [
    ({"source": ["aws.ec2"]}, True),
    ({"source": ["aws.ec2", "aws.fargate"]}, True),
    ({"source": ["aws.fargate"]}, False),
    ({"source": ["AWS.EC2"]}, False),
    ({"nothing": ["aws.ec2"]}, False),
    ({"source": ["aws.ec2"], "detail": {"state": ["initializing", "running"]}}, True),
    ({"source": ["aws.ec2"], "detail": {"state": ["stopped"]}}, False),
    ({"resources": [EVENT["resources"][0]]}, True),  # type: ignore[index]
    ({"time": [{"prefix": "2017-12-22"}]}, True),
    ({"source": [{"suffix": "ec2"}]}, True),
    ({"source": [{"equals-ignore-case": "AWS.EC2"}]}, True),
    ({"source": [{"wildcard": "aws.*"}]}, True),
    ({"detail": {"state": [{"anything-but": "initializing"}]}}, True),
    ({"detail": {"state": [{"anything-but": ["stopped", "running"]}]}}, False),
    ({"detail": {"state": [{"anything-but": {"prefix": "init"}}]}}, True),
    ({"detail": {"x-limit": [{"anything-but": [100, 200, 300]}]}}, True),
    (
        {
            "detail": {
                "c-count": [{"numeric": [">", 0, "<=", 5]}],
                "d-count": [{"numeric": ["<", 10]}],
                "x-limit": [{"numeric": ["=", 3.018e2]}],
            }
        },
        True,
    ),
    ({"detail": {"source-ip": [{"cidr": "10.0.0.0/24"}]}}, True),
    ({"detail": {"source-ip": [{"cidr": "10.0.1.0/24"}]}}, False),
    ({"detail": {"eventVersion": [""]}}, True),
    ({"detail": {"eventVersion": [None]}}, False),
    ({"detail": {"responseElements": [None]}}, True),
    ({"detail": {"responseElements": [""]}}, False),
    ({"detail": {"dry": [False]}}, True),
    ({"detail": {"dry": [True]}}, False),
    ({"detail": {"dry": ["false"]}}, False),
    ({"detail": {"dry": [0]}}, False),
    ({"account": [111122223333]}, False),
    (
        {
            "time": [{"prefix": "2017-12-22"}],
            "detail": {
                "state": [{"anything-but": "initializing"}],
                "c-count": [{"numeric": [">", 0, "<=", 5]}],
                "d-count": [{"numeric": ["<", 10]}],
                "x-limit": [{"anything-but": [100, 200, 300]}],
                "source-ip": [{"cidr": "10.0.0.0/8"}],
            },
        },
        True,
    ),
]


@pytest.mark.parametrize(("pattern", "expected"), WHOLE_EVENT)
def test_patterns_of_the_documentation(pattern: dict[str, Any], expected: bool) -> None:
    """The examples of AWS's pages and of event-ruler's README do what those say."""
    assert matches(pattern, EVENT) is expected


# A list of values, values of the field that match, and values that do not.
ABSENT = object()
VALUES: list[tuple[list[Any], list[Any], list[Any]]] = [
    (["a"], ["a", ["b", "a"], [["a"]]], ["A", "", "ab", None, 1, {"a": "a"}, [], ABSENT]),
    (["true"], ["true"], [True]),
    ([True], [True], ["true", 1, 1.0, False]),
    ([1], [1, 1.0, [1]], [True, "1", 2]),
    ([0], [0, -0.0], [False, None, ""]),
    ([None], [None, [None]], [[], 0, "", "null", False, {}, ABSENT]),
    ([""], ["", [""]], [None, [], " ", ABSENT]),
    ([{"exactly": "a"}], ["a"], ["b", 1]),
    # strings
    ([{"prefix": "us-"}], ["us-", "us-east-1", ["eu", "us-x"]], ["US-1", "eu-us-", 5, None]),
    ([{"prefix": ""}], ["", "x"], [5, None, True, [], ABSENT]),
    ([{"prefix": {"equals-ignore-case": "EventB"}}], ["eventb", "EVENTBus"], ["event", 1]),
    ([{"suffix": ".png"}], [".png", "a.png"], ["a.PNG", "a.png ", 1]),
    ([{"suffix": ""}], ["", "x"], [5, None]),
    ([{"suffix": {"equals-ignore-case": "tBridge"}}], ["EventBRIDGE", "tbridge"], ["bridge"]),
    ([{"equals-ignore-case": "alice"}], ["Alice", "ALICE"], ["alic", "alicee", None]),
    ([{"equals-ignore-case": ""}], [""], ["a", None]),
    ([{"equals-ignore-case": "a.b"}], ["A.B"], ["axb"]),
    # event-ruler lets each character of the pattern be its lower or its upper form.
    ([{"equals-ignore-case": "stra\u00dfe"}], ["STRASSE", "STRA\u00dfE"], ["strasse"]),
    ([{"equals-ignore-case": "strasse"}], ["STRASSE"], ["stra\u00dfe"]),
    ([{"equals-ignore-case": "k"}], ["K"], ["\u212a"]),
    ([{"suffix": {"equals-ignore-case": "\u00df"}}], ["aSS", "\u00df"], ["ass"]),
    ([{"equals-ignore-case": "\U0001f600a"}], ["\U0001f600A"], ["a"]),
    # wildcards
    ([{"wildcard": "dir/*.png"}], ["dir/.png", "dir/a/b.png"], ["dir.png", "dir/a.pngx", 1]),
    ([{"wildcard": "*"}], ["", "x", "*"], [None, 1]),
    ([{"wildcard": ""}], [""], ["x"]),
    ([{"wildcard": "abc"}], ["abc"], ["abcd", "xabc"]),
    ([{"wildcard": "*/dir/*/x*"}], ["/dir/a/x", "a/dir//xy"], ["/dir/x", "dir/a/x"]),
    ([{"wildcard": "a*a"}], ["aa", "aba"], ["a", "ab"]),
    ([{"wildcard": "a*ab*b"}], ["aabb", "axabyb"], ["abb", "aab"]),
    ([{"wildcard": r"a\*b*"}], ["a*b", "a*bc"], ["axb", r"a\*b"]),
    ([{"wildcard": r"a\\*"}], ["a\\", "a\\b"], ["a*", "ab"]),
    ([{"wildcard": "a?[b]*"}], ["a?[b]c"], ["axb"]),
    ([{"wildcard": "a*b"}], ["a\n\u00e9b"], ["a\u00e9"]),
    # anything-but takes any value of any type that is not named, and needs one.
    ([{"anything-but": "a"}], ["b", 1, None, True, ["a", "b"]], ["a", ["a"], [], {}, ABSENT]),
    ([{"anything-but": 5}], [6, "5", None, False], [5, 5.0]),
    ([{"anything-but": 0}], [False, None, "", 1], [0, -0.0]),
    ([{"anything-but": ["a", "b"]}], ["c", 1], ["a", "b", ["a", "b"]]),
    ([{"anything-but": [1, 2]}], [3, "1"], [1, 2.0]),
    ([{"anything-but": {"prefix": "init"}}], ["x", 1, None], ["init", "initial", ABSENT]),
    ([{"anything-but": {"prefix": ["a", "b"]}}], ["c", 1], ["ax", "b"]),
    ([{"anything-but": {"suffix": ".png"}}], ["a.txt", None], ["a.png"]),
    ([{"anything-but": {"suffix": [".a", ".b"]}}], ["x"], ["x.a", "x.b"]),
    ([{"anything-but": {"equals-ignore-case": "init"}}], ["x", 1], ["INIT", "init"]),
    ([{"anything-but": {"equals-ignore-case": ["a", ""]}}], ["x"], ["A", ""]),
    ([{"anything-but": {"wildcard": "*/lib/*"}}], ["/bin/", 1, None], ["a/lib/b"]),
    ([{"anything-but": {"wildcard": ["*a", "b*"]}}], ["c"], ["xa", "bx"]),
    ([{"anything-but": {"wildcard": ""}}], ["x"], [""]),
    ([{"anything-but": "a"}, {"anything-but": "b"}], ["a", "b", "c"], [ABSENT]),
    ([{"anything-but": "a"}, "a"], ["a", "b"], [ABSENT]),
    # numbers
    ([{"numeric": ["=", 5]}], [5, 5.0, [1, 5]], [5.000001, "5", True, None]),
    ([{"numeric": [">", 0]}], [0.1, 10**300], [0, -1, "1", True]),
    ([{"numeric": [">=", 0]}], [0, -0.0, 1], [-1e-9]),
    ([{"numeric": ["<", 0]}], [-1], [0, -0.0, None]),
    ([{"numeric": ["<=", 0]}], [0, -1], [1]),
    ([{"numeric": [">", 0, "<=", 5]}], [0.5, 5], [0, 5.1]),
    ([{"numeric": [">=", 0, "<", 5]}], [0, 4.9], [5, -1]),
    ([{"numeric": [">", 5_000_000_000]}], [6_000_000_000], [5_000_000_000]),
    ([{"numeric": ["=", 1e-9]}], [0.000000001], [0]),
    # addresses
    ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "10.0.0", 167772160]),
    ([{"cidr": "10.0.0.77/24"}], ["10.0.0.1", "010.0.0.1"], ["10.0.0.256", "::a00:1"]),
    ([{"cidr": "0.0.0.0/0"}], ["255.255.255.255"], ["::1", "x"]),
    ([{"cidr": "2001:db8::/32"}], ["2001:db8::1", "2001:0DB8::"], ["2001:db9::", "10.0.0.1"]),
    ([{"cidr": "10.0.0.0/8"}], ["::ffff:a00:1"], ["::ffff:10.0.0.1", "fe80::1%eth0"]),
    (["10.0.0.1"], ["10.0.0.1", "10.0.0.01"], ["10.0.0.2"]),
    (["::1"], ["0:0:0:0:0:0:0:1"], ["::2", "::1/128"]),
    (["08:23"], ["08:23"], ["8:23"]),
    # exists looks at leaves: a value, or an element of an array.
    ([{"exists": True}], ["", None, 0, False, [0]], [[], {}, {"x": 1}, [[], {}], ABSENT]),
    ([{"exists": False}], [[], {}, {"x": 1}, ABSENT], ["", None, 0, [0]]),
    ([{"exists": False}, "a"], [ABSENT, "a", []], ["b", None]),
    ([{"exists": False}, {"anything-but": "a"}], [ABSENT, "b"], ["a"]),
    ([{"exists": False}, {"exists": True}], [ABSENT, "b", None], []),
    # several of one list: one is enough
    (["a", 1, None, {"prefix": "x"}, {"numeric": [">", 5]}], ["a", 1, None, "xy", 6], ["b", 2]),
    # ... but event-ruler reads a field in one way, by what its list compares.
    ([{"cidr": "10.0.0.0/8"}, {"prefix": "1"}], ["10.1.1.1", "1x"], ["11.0.0.1"]),
    ([{"cidr": "10.0.0.0/8"}, {"anything-but": "11.0.0.1"}], ["11.0.0.1", "x"], []),
    (["10.0.0.1", 5], [5], ["10.0.0.1"]),
]


def event_with(value: Any) -> dict[str, Any]:
    return {"d": {}} if value is ABSENT else {"d": {"x": value}}


@pytest.mark.parametrize(("values", "good", "bad"), VALUES)
def test_a_list_of_values(values: list[Any], good: list[Any], bad: list[Any]) -> None:
    """Each operator takes what it should, and nothing else, of every type."""
    pattern = {"d": {"x": values}}
    assert [value for value in good if not matches(pattern, event_with(value))] == []
    assert [value for value in bad if matches(pattern, event_with(value))] == []


NUMBERS = [
    ("300", "300", True),
    ("300", "300.0", True),
    ("300", "3.0e2", True),
    ("3E2", "300", True),
    ("0", "-0", True),
    ("0.1", "0.10", True),
    ("0.1", "0.1000000000000000055511151231257827", False),
    ("123456789012", "123456789012", True),
    ("123456789012", "123456789012.0", True),
    ("9007199254740993", "9007199254740993", True),
    ("9007199254740993", "9007199254740992", False),
    ("9007199254740993", "9007199254740993.0", False),
    ("1e400", "1e400", True),
    ("1e400", "10e399", False),
    ("100000000000000000000000", "1e23", True),
    ("37.795818585593523", "37.795818585593523", True),
    ("37.795818585593523", "37.79581858559352", False),
]


@pytest.mark.parametrize(("one", "other", "equal"), NUMBERS)
def test_numbers_are_equal_by_value_as_doubles(one: str, other: str, equal: bool) -> None:
    """Spellings of one double are equal; a number that no double is equals its own digits."""
    assert matches(f'{{"x": [{one}]}}', f'{{"x": {other}}}') is equal


@pytest.mark.parametrize("number", ["9007199254740993", "1e400", "0.30000000000000000001"])
def test_a_number_that_no_double_is_cannot_be_compared(number: str) -> None:
    """No `numeric` holds for it, and `anything-but` a number does."""
    event = f'{{"x": {number}}}'
    assert not matches({"x": [{"numeric": [">", 0]}]}, event)
    assert matches({"x": [{"anything-but": 1}]}, event)
    assert matches({"x": [{"exists": True}]}, event)


def test_names_with_dots_are_paths() -> None:
    """`a.b` and `b` in `a` are one path, in patterns and in events."""
    for pattern in ({"detail": {"state": {"status": ["up"]}}}, {"detail.state.status": ["up"]}):
        assert matches(pattern, {"detail": {"state": {"status": "up"}}})
        assert matches(pattern, {"detail": {"state.status": "up"}})
        assert matches(pattern, {"detail.state": {"status": "up"}})
        assert matches(pattern, {"detail.state.status": "up"})
        assert matches(pattern, {"detail": {"state": {"status": "down"}, "state.status": "up"}})
        assert not matches(pattern, {"detail": {"state": "up"}})
    assert matches({"": {"a": ["x"]}}, {"": {"a": "x"}})
    assert matches({"": ["x"]}, {"": "x"})
    assert not matches({"": ["x"]}, {"a": "x"})


BAD_EVENTS: list[Any] = [
    None, 5, "", "x", "[]", "{", b"\xff", b'{"a": "\xff"}', [], [{"a": "x"}], '"a"', "nan",
    "[" * 100_000, '{"a":' * 100_000, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("event", BAD_EVENTS)
def test_what_is_no_event_does_not_match_and_does_not_raise(event: Any) -> None:
    """Not even a pattern that asks for absence matches it."""
    assert not matches({"a": [{"exists": False}]}, event)


ODD_VALUES: list[Any] = [
    float("nan"), float("inf"), 10**5000, -(10**400), b"x", object(), (1, 2), {1}, "\ud800", {1: 2},
]  # fmt: skip


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: type(value).__name__)
def test_values_that_are_no_json_do_not_raise(value: Any) -> None:
    """A dict may hold anything; what JSON does not know equals nothing."""
    lists: list[list[Any]] = [
        ["x", 1, None, True], [{"numeric": [">", 0]}], [{"numeric": ["<", 0]}],
        [{"prefix": "x"}], [{"cidr": "10.0.0.0/8"}], [{"equals-ignore-case": "x"}],
    ]  # fmt: skip
    for values in lists:
        assert not matches({"a": values}, {"a": value})
    assert matches({"b": ["x"]}, {"a": value, "b": "x"})


def test_an_event_that_is_nested_too_deep_does_not_match() -> None:
    """The depth of what is looked at is bounded; what no field names may be as deep as it likes."""
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    assert not matches({"a": ["x"]}, {"a": deep})
    assert not matches({"a": [{"exists": False}]}, {"a": deep})
    assert matches({"b": ["x"]}, {"a": deep, "b": "x"})


def test_text_and_bytes_are_events_too() -> None:
    """JSON text matches as what it parses to."""
    for event in ('{"a": "x"}', b'{"a": "x"}', bytearray(b'{"a": "x"}')):
        assert matches('{"a": ["x"]}', event)
        assert matches(b'{"a": ["x"]}', event)
