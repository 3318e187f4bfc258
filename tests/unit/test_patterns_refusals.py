"""Event patterns that EventBridge refuses: each with the path and the reason, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from wherry import limits
from wherry.errors import PatternInvalid, Refused
from wherry.patterns import Fault, check, compile, matches

LEAVES: list[tuple[Any, str, str]] = [
    ([], "", "empty list"),
    ("x", "", "a list of values or an object is needed"),
    (5, "", "a list of values or an object is needed"),
    (None, "", "a list of values or an object is needed"),
    (True, "", "a list of values or an object is needed"),
    ({}, "", "empty object"),
    ([["x"]], "[0]", "list within the list"),
    ([{}], "[0]", "names one operator, not none"),
    ([{"nope": "x"}], "[0].nope", "is no operator"),
    ([{"Prefix": "x"}], "[0].Prefix", "is no operator"),
    ([{"html": "x"}], "[0].html", "is no operator"),
    (["ok", {"prefix": "x", "suffix": "y"}], "[1]", "names one operator, not prefix, suffix"),
    # strings
    ([{"prefix": 5}], "[0].prefix", "takes a string, not a number"),
    ([{"prefix": ["x"]}], "[0].prefix", "takes a string, not a list"),
    ([{"prefix": {"wildcard": "x"}}], "[0].prefix", "equals-ignore-case"),
    ([{"prefix": {}}], "[0].prefix", "equals-ignore-case"),
    ([{"prefix": {"equals-ignore-case": ["x"]}}], "[0].prefix.equals-ignore-case", "a string"),
    ([{"suffix": None}], "[0].suffix", "takes a string, not null"),
    ([{"suffix": {"equals-ignore-case": 5}}], "[0].suffix.equals-ignore-case", "a string"),
    ([{"equals-ignore-case": ["x"]}], "[0].equals-ignore-case", "takes a string, not a list"),
    ([{"exactly": 33}], "[0].exactly", "takes a string, not a number"),
    # wildcards
    ([{"wildcard": 5}], "[0].wildcard", "takes a string"),
    ([{"wildcard": ["x"]}], "[0].wildcard", "takes a string"),
    ([{"wildcard": "a**b"}], "[0].wildcard", "two '*' in a row at character 2"),
    ([{"wildcard": "a\\b"}], "[0].wildcard", "'\\' at character 1"),
    ([{"wildcard": "ab\\"}], "[0].wildcard", "'\\' at character 2"),
    ([{"wildcard": "*:*:*:*:*:event-bus/*"}], "", "too complex"),
    ([{"wildcard": f"*:stack/{name}/*"} for name in ("a", "b", "c", "d")], "", "too complex"),
    ([{"wildcard": "*" + "a" * 12}], "", "too complex"),
    ([{"anything-but": {"wildcard": ["*a*b*c*d*e*f*g*h*i*j*", "x"]}}], "", "too complex"),
    # anything-but
    ([{"anything-but": []}], "[0].anything-but", "empty list"),
    ([{"anything-but": None}], "[0].anything-but", "is null"),
    ([{"anything-but": True}], "[0].anything-but", "is true"),
    ([{"anything-but": ["a", None]}], "[0].anything-but[1]", "is null"),
    ([{"anything-but": [["a"]]}], "[0].anything-but[0]", "is a list"),
    ([{"anything-but": [{"wildcard": "*x*"}]}], "[0].anything-but[0]", "is an object"),
    ([{"anything-but": ["a", 1]}], "[0].anything-but", "mixes strings and numbers"),
    ([{"anything-but": {}}], "[0].anything-but", "takes an object with one of"),
    ([{"anything-but": {"numeric": ["=", 1]}}], "[0].anything-but", "takes an object with one of"),
    ([{"anything-but": {"prefix": "a", "suffix": "b"}}], "[0].anything-but", "with one of"),
    ([{"anything-but": {"prefix": ""}}], "[0].anything-but.prefix", "is empty"),
    ([{"anything-but": {"suffix": ["a", ""]}}], "[0].anything-but.suffix[1]", "is empty"),
    ([{"anything-but": {"prefix": []}}], "[0].anything-but.prefix", "empty list"),
    ([{"anything-but": {"prefix": 5}}], "[0].anything-but.prefix", "is a number"),
    (
        [{"anything-but": {"prefix": {"equals-ignore-case": "a"}}}],
        "[0].anything-but.prefix",
        "is an object",
    ),
    ([{"anything-but": {"wildcard": ["a", "**"]}}], "[0].anything-but.wildcard[1]", "in a row"),
    # numbers
    ([{"numeric": 5}], "[0].numeric", "takes a list such as"),
    ([{"numeric": []}], "[0].numeric", "takes a list such as"),
    ([{"numeric": ["="]}], "[0].numeric", "takes a list such as"),
    ([{"numeric": [">", 1, "<"]}], "[0].numeric", "takes a list such as"),
    ([{"numeric": [">", 1, "<", 2, 3]}], "[0].numeric", "takes a list such as"),
    ([{"numeric": [5, 5]}], "[0].numeric[0]", "is a number; comparisons are"),
    ([{"numeric": ["!=", 5]}], "[0].numeric[0]", "is '!='"),
    ([{"numeric": [">", 1, "<>", 5]}], "[0].numeric[2]", "is '<>'"),
    ([{"numeric": ["=", "5"]}], "[0].numeric[1]", "is a string; a number is needed"),
    ([{"numeric": ["=", True]}], "[0].numeric[1]", "is true; a number is needed"),
    ([{"numeric": ["=", 1, "=", 1]}], "[0].numeric", "is no range"),
    ([{"numeric": ["<", 5, ">", 1]}], "[0].numeric", "is no range"),
    ([{"numeric": [">", 1, ">", 2]}], "[0].numeric", "is no range"),
    ([{"numeric": [">", 5, "<", 5]}], "[0].numeric", "is an empty range"),
    ([{"numeric": [">=", 5, "<=", 5]}], "[0].numeric", "is an empty range"),
    ([{"numeric": [">", 5, "<", 1]}], "[0].numeric", "is an empty range"),
    ([{"numeric": ["=", 2**53 + 1]}], "[0].numeric[1]", "no double"),
    ([{"numeric": ["=", float("inf")]}], "[0].numeric[1]", "no JSON number"),
    ([{"anything-but": [1, 2**53 + 1]}], "[0].anything-but[1]", "no double"),
    # addresses
    ([{"cidr": 5}], "[0].cidr", "takes a string"),
    ([{"cidr": "10.0.0.0"}], "[0].cidr", "one '/' is needed"),
    ([{"cidr": "10.0.0.0/"}], "[0].cidr", "one '/' is needed"),
    ([{"cidr": "10.0.0.0/8/8"}], "[0].cidr", "one '/' is needed"),
    ([{"cidr": "10.0.0.0/x"}], "[0].cidr", "number of bits"),
    ([{"cidr": "10.0.0.0/255.0.0.0"}], "[0].cidr", "number of bits"),
    ([{"cidr": "10.0.0.0/-1"}], "[0].cidr", "0 to 31"),
    ([{"cidr": "10.0.0.0/32"}], "[0].cidr", "0 to 31"),
    ([{"cidr": "::/128"}], "[0].cidr", "0 to 127"),
    ([{"cidr": "10.0.0/8"}], "[0].cidr", "no IP address"),
    ([{"cidr": "10.0.0.256/8"}], "[0].cidr", "no IP address"),
    ([{"cidr": "example.com/8"}], "[0].cidr", "no IP address"),
    ([{"cidr": "2400:6500:FF00::36FB::1F80/122"}], "[0].cidr", "no IP address"),
    # exists
    ([{"exists": "true"}], "[0].exists", "takes true or false"),
    ([{"exists": 1}], "[0].exists", "takes true or false"),
    ([{"exists": None}], "[0].exists", "takes true or false"),
    # what is no JSON
    ([{1, 2}], "[0]", "no JSON"),
    ([b"x"], "[0]", "no JSON"),
    ([float("nan")], "[0]", "no JSON number"),
    (["\ud800"], "[0]", "lone surrogate"),
    ({5: ["x"]}, "", "keys are strings"),
]


@pytest.mark.parametrize(("values", "at", "reason"), LEAVES)
def test_a_field_is_refused(values: Any, at: str, reason: str) -> None:
    """With one fault, at its path."""
    faults = check({"ok": ["x"], "detail": {"a-b": values}})
    assert [fault.at for fault in faults] == [f"$.detail.a-b{at}"]
    assert reason in faults[0].fault


WHOLE: list[tuple[Any, str, str]] = [
    ({}, "$", "empty object"),
    (None, "$", "not an object"),
    ([{"a": ["x"]}], "$", "not an object"),
    ("[1, 2, 3]", "$", "not an object"),
    ("", "$", "is not JSON"),
    ('{"a": ["x"],}', "$", "is not JSON"),
    ('{"a": [NaN]}', "$", "is not JSON"),
    ('{"a": [1, 2 3]}', "$", "is not JSON"),
    (b"\xff", "$", "is not UTF-8"),
    ({"a": ["x" * limits.PATTERN_LENGTH]}, "$", "characters"),
    ({"a": [10**5000]}, "$", "characters"),
    ({"a": [None] * 100_000}, "$", "characters"),
    ('{"a":' * 150 + '["x"]' + "}" * 150, "$", "nested deeper"),
    ({"." * 100: ["x"]}, f"$['{'.' * 100}']", "nested deeper"),
    ({"my field": {"x": []}}, "$['my field'].x", "empty list"),
    # $or
    ({"$or": [{"a": ["1"]}]}, "$.$or", "at least two"),
    ({"$or": []}, "$.$or", "at least two"),
    ({"$or": "x"}, "$.$or", "list of at least two objects"),
    ({"$or": [{"a": ["1"]}, {"b": ["1"]}, [{"c": ["1"]}]]}, "$.$or[2]", "is no object"),
    ({"$or": [{"a": ["1"]}, {}]}, "$.$or[1]", "empty object"),
    ({"$or": [{"a": ["1"]}, {"b": [{"x": 1}]}]}, "$.$or[1].b[0].x", "is no operator"),
    ({"$or": [{"a": ["1"]}, {"prefix": ["x"]}]}, "$.$or[1].prefix", "reserved"),
    ({"$or": [{"a": ["1"]}, {"b": {"regex": ["x"]}}]}, "$.$or[1].b.regex", "reserved"),
    ({f"k{n}": {"$or": [{"a": [n]}, {"b": [n]}]} for n in range(10)}, "$", "1024 combinations"),
]


@pytest.mark.parametrize(("pattern", "at", "reason"), WHOLE)
def test_a_pattern_is_refused(pattern: Any, at: str, reason: str) -> None:
    """With one fault, at its path."""
    faults = check(pattern)
    assert [fault.at for fault in faults] == [at]
    assert reason in faults[0].fault


def test_all_faults_are_told_at_once() -> None:
    """In the order of the pattern, by check and by the error of compile and matches."""
    wrong = {"a": [], "b": {"c": [{"prefix": 5}, {"exists": 1}]}, "d": "x"}
    expected = ["$.a", "$.b.c[0].prefix", "$.b.c[1].exists", "$.d"]
    assert [fault.at for fault in check(wrong)] == expected
    for refuse in (compile, lambda pattern: matches(pattern, {"a": 1})):
        with pytest.raises(PatternInvalid) as refusal:
            refuse(wrong)
        assert refusal.value.faults == check(wrong)
        assert refusal.value.code == "pattern_invalid"
        assert isinstance(refusal.value, Refused)
        assert all(f"{at}: " in str(refusal.value) for at in expected)


def test_a_valid_pattern_has_no_faults() -> None:
    """And what only looks complicated is taken."""
    assert check({"a": ["x"]}) == []
    assert check({"a": [{"wildcard": "/Users/*/dir/dir/dir/dir/dir/doc.txt"}]}) == []
    three = [{"wildcard": f"*:stack/{name}/*"} for name in ("alpha", "beta", "gamma")]
    assert check({"a": three}) == []
    assert check({f"k{n}": {"$or": [{"a": [n]}, {"b": [n]}]} for n in range(9)}) == []
    assert check({"prefix": ["x"], "a": {"numeric": ["x"]}}) == []


def test_a_fault_reads_as_a_line() -> None:
    """The path, then the reason."""
    assert str(Fault("$.a", "is wrong")) == "$.a: is wrong"


def test_a_pattern_that_holds_itself_is_refused() -> None:
    """A dict can be no JSON in this way too."""
    loop: dict[str, Any] = {"a": ["x"]}
    loop["b"] = loop
    assert "nested deeper" in check(loop)[0].fault
