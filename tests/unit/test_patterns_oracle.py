"""Event patterns against a slow matcher that tries everything: they always agree."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from tests.unit.patterns_oracle import oracle
from wherry.patterns import check, compile

NAMES = st.sampled_from(["a", "b", "a.b", "a-c", "c"])
TEXTS = st.text(alphabet="aAb*\\\u00df", max_size=4)
SMALL = st.sampled_from([-1, 0, 1, 1.0, 1.5, 2])
LEAVES = st.one_of(st.sampled_from(["a", "b", "aa", "Ab", ""]), SMALL, st.none(), st.booleans())


def _objects(values: st.SearchStrategy[Any], *, least: int = 0) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, values, min_size=least, max_size=3)


EVENTS = _objects(
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | _objects(inner), max_leaves=12)
)

WILDCARDS = TEXTS.map(lambda text: text.replace("\\", "\\\\").replace("**", "*"))
FILLED = TEXTS.filter(bool)
OPERATORS = st.one_of(
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"prefix": TEXTS}),
    st.fixed_dictionaries({"suffix": TEXTS}),
    st.fixed_dictionaries({"prefix": st.fixed_dictionaries({"equals-ignore-case": TEXTS})}),
    st.fixed_dictionaries({"suffix": st.fixed_dictionaries({"equals-ignore-case": TEXTS})}),
    st.fixed_dictionaries({"equals-ignore-case": TEXTS}),
    st.fixed_dictionaries({"wildcard": WILDCARDS}),
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), SMALL).map(
        lambda pair: {"numeric": list(pair)}
    ),
    st.tuples(st.sampled_from([">", ">="]), SMALL, st.sampled_from(["<", "<="]), SMALL).map(
        lambda four: {"numeric": list(four)}
    ),
    st.one_of(
        TEXTS, SMALL, st.lists(TEXTS, min_size=1, max_size=2), st.lists(SMALL, min_size=1),
        st.fixed_dictionaries({"prefix": FILLED | st.lists(FILLED, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"suffix": FILLED | st.lists(FILLED, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"equals-ignore-case": TEXTS}),
        st.fixed_dictionaries({"wildcard": st.lists(WILDCARDS, min_size=1, max_size=2)}),
    ).map(lambda operand: {"anything-but": operand}),
)  # fmt: skip
LISTS = st.lists(LEAVES | OPERATORS, min_size=1, max_size=2)
SIMPLE_LISTS = st.lists(
    st.sampled_from(["a", 1, None, {"exists": True}, {"exists": False}]), min_size=1, max_size=2
)


def _patterns(lists: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.tuples(inner, st.none() | st.lists(inner, min_size=2, max_size=3)).map(
            lambda both: both[0] if both[1] is None else {**both[0], "$or": both[1]}
        )

    flat = _objects(lists, least=1)
    return deeper(deeper(flat) | _objects(lists | deeper(flat), least=1))


@given(_patterns(LISTS), EVENTS)
@settings(max_examples=60)
def test_every_operator_agrees_with_the_oracle(
    pattern: dict[str, Any], fields: dict[str, Any]
) -> None:
    """On values of every type."""
    assume(not check(pattern))
    expected = oracle(pattern, fields)
    event(f"matches: {expected}")
    assert compile(pattern).matches(fields) is expected


@given(_patterns(SIMPLE_LISTS), EVENTS)
@settings(max_examples=120)
def test_arrays_and_absence_agree_with_the_oracle(
    pattern: dict[str, Any], fields: dict[str, Any]
) -> None:
    """On arrays within arrays, objects in them, and names with dots."""
    assume(not check(pattern))
    expected = oracle(pattern, fields)
    event(f"matches: {expected}")
    compiled = compile(pattern)
    assert compiled.matches(fields) is expected
    assert compiled.matches(json.dumps(fields)) is expected
    assert compile(compiled.json).matches(fields) is expected


WORDS = st.sampled_from([
    "$or", "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr",
    "exists", "exactly",
])  # fmt: skip


def _anything(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(NAMES | WORDS, inner, max_size=3)


ANYTHING = st.recursive(LEAVES | TEXTS | st.floats() | st.integers(), _anything)


@given(ANYTHING, EVENTS)
@settings(max_examples=60)
def test_a_pattern_is_refused_or_it_matches_or_not(pattern: Any, fields: dict[str, Any]) -> None:
    """Whatever it is, nothing else is raised, and it is told with a path."""
    faults = check(pattern)
    assert all(fault.at.startswith("$") and fault.fault for fault in faults)
    if not faults:
        assert compile(pattern).matches(fields) in (True, False)
