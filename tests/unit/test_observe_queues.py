"""Queues as people see them: what is held, why, and what to do about it."""

from __future__ import annotations

from wherry import limits
from wherry.observe.paint import PLAIN
from wherry.observe.queues import held, queues_text
from wherry.ports import Depth, PausedRow
from wherry.ports.failures import BlockedGroup

NOW_MS = 1_795_000_000_000
ANA = PausedRow("export", NOW_MS - 300_000, "ana")


def test_a_pause_says_whose_it_is_since_when_and_how_it_ends() -> None:
    told, what_to_do = held([], [ANA], NOW_MS)
    assert "export is paused since 2026-11-18 11:01:40.000 UTC (5 min ago) by ana." in told
    assert what_to_do == "  wherry resume export"
    whole = held([], [PausedRow("", NOW_MS, "ben")], NOW_MS)
    assert whole[0].startswith("The whole app is paused since")
    assert whole[1] == "  wherry resume"


def test_a_blocked_group_names_its_failure_and_what_waits_behind_it() -> None:
    group = BlockedGroup("alice", "f00d", NOW_MS - 60_000, 3)
    row = Depth("orders", 3, 0, 1, 0, behind=3, blocked_groups=1, blocked=[group])
    told, what_to_do = held([row], [], NOW_MS)
    assert told == "orders: the group alice waits for the failure f00d (1 min ago), 3 behind it."
    assert "wherry failures show f00d, then redrive or discard it" in what_to_do


def test_more_blocked_groups_than_are_shown_are_counted() -> None:
    group = BlockedGroup("alice", "f00d", NOW_MS, limits.HELD_COUNTED)
    row = Depth("orders", 9, 0, 9, 0, blocked_groups=4, blocked=[group])
    lines = held([row], [], NOW_MS)
    assert "10,000 or more behind it" in lines[0]
    assert lines[2] == "orders: 3 more groups wait for a failure."
    assert lines[3] == "  wherry failures list --queue orders"


def test_a_table_of_queues_has_a_column_for_what_waits_behind_others_only_if_any_does() -> None:
    plain = Depth("jobs", 2, 1, 0, 1500)
    assert "behind" not in queues_text([plain], [], NOW_MS, PLAIN)
    grouped = Depth("lane", 5, 1, 0, 1500, behind=4)
    head, first, second = queues_text([plain, grouped], [], NOW_MS, PLAIN).splitlines()
    assert head.split()[:4] == ["queue", "waiting", "behind", "running"]
    assert first.split()[:4] == ["jobs", "2", "0", "1"]
    assert second.split()[:4] == ["lane", "5", "4", "1"]


def test_a_queue_that_is_declared_no_more_is_marked() -> None:
    row = Depth("jobs", 2, 0, 0, 1500, paused=True, declared=False)
    assert "jobs (paused, not declared)" in queues_text([row], [], NOW_MS, PLAIN)


def test_a_group_whose_name_commands_the_terminal_is_shown_harmless() -> None:
    group = BlockedGroup("a\x1b[2J", "f00d", NOW_MS, 1)
    row = Depth("orders", 1, 0, 1, 0, blocked_groups=1, blocked=[group])
    assert "\x1b" not in "\n".join(held([row], [], NOW_MS))
