"""Passwords: which are taken, how many are hashed at once, and how often one may be tried."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import limits
from wherry.errors import TooManyRequests, Unauthenticated
from wherry.identity import MemoryState, passwords
from wherry.identity.accounts import Accounts, normal_username
from wherry.identity.passwords import Hasher, Slot, password_faults
from wherry.identity.throttle import Throttle, delay_s
from wherry.world import Chance, ManualClock

GOOD = "correct horse battery"
WRONG = "another horse battery"


class Counting(Hasher):
    """A hasher that costs little and notes what it did."""

    def __init__(self, slots: int = 2, queue: int = 16) -> None:
        super().__init__(Chance(1), memory_kib=64, passes=1, slots=slots, queue=queue)
        self.matched: list[str | None] = []

    def slot(self) -> Slot:
        return CountingSlot(self)


class CountingSlot(Slot):
    def __init__(self, hasher: Counting) -> None:
        super().__init__(hasher)
        self.notes = hasher.matched

    def matches(self, stored: str | None, password: str) -> bool:
        self.notes.append(stored)
        return super().matches(stored, password)


class Desk:
    """Accounts with one account, alice."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.state = MemoryState(self.clock)
        self.hasher = Counting()
        self.accounts = Accounts(self.state, self.hasher, self.clock, Chance(2))
        self.alice = self.accounts.add("alice", GOOD, ("customer",))

    def fail(self, username: str = "alice", device: str = "") -> None:
        with pytest.raises(Unauthenticated):
            self.accounts.log_in(username, WRONG, device)

    def wait(self, username: str = "alice", device: str = "") -> int:
        """Return for how long the lane is closed, also to the right password."""
        with pytest.raises(TooManyRequests) as caught:
            self.accounts.log_in(username, GOOD, device)
        return int(caught.value.headers["Retry-After"])

    def attack(self, failures: int) -> None:
        """A stranger fails this often, as fast as the open lane allows."""
        for number in range(failures):
            self.clock.advance(delay_s(number))
            self.fail()


@pytest.mark.parametrize("password", ["a" * 7, "password", "PassWord", "12345678", "sunshine"])
def test_short_and_common_passwords_are_refused(password: str) -> None:
    assert password_faults(password, "somebody")


@pytest.mark.parametrize("name", ["alice.liddell", "alice.liddell@example.com"])
def test_the_username_is_no_password(name: str) -> None:
    assert password_faults("Alice.Liddell", name) == ["must not be the username"]


def test_the_length_is_bounded_in_bytes_after_normalising() -> None:
    assert password_faults("é" * 128, "") == []
    assert password_faults("é" * 129, "")
    assert password_faults("x" * 1_000_000, "")
    assert password_faults("lone \ud800 surrogate", "")
    assert password_faults("\N{KELVIN SIGN}" * 8, "") == []


def test_the_blocklist_holds_thousands_and_names_its_source() -> None:
    text = Path(passwords.__file__).with_name("common_passwords.txt").read_text()
    assert "zxcvbn" in text
    words = [word for line in text.splitlines() if line[0] != "#" for word in line.split()]
    assert len(set(words)) == 3000
    assert min(map(len, words)) >= limits.PASSWORD_MIN


def test_a_hash_has_the_cost_of_owasp_and_its_own_salt() -> None:
    with Hasher(Chance()).slot() as slot:
        first, second = slot.hash(GOOD), slot.hash(GOOD)
        assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert first != second
        assert slot.matches(first, GOOD)
        assert not slot.matches(first, WRONG)
        assert not slot.matches(None, GOOD)


def test_a_password_composed_another_way_is_the_same() -> None:
    with Counting().slot() as slot:
        assert slot.matches(slot.hash("pass\u00e9 compos\u00e9"), "passe\u0301 compose\u0301")


def test_only_so_many_hash_at_once_and_only_so_many_wait() -> None:
    hasher = Counting(slots=2, queue=1)
    waiting, done = threading.Event(), threading.Event()

    def third() -> None:
        waiting.set()
        with hasher.slot():
            done.set()

    with hasher.slot():
        with hasher.slot():
            thread = threading.Thread(target=third)
            thread.start()
            assert waiting.wait(10)
            while hasher._inside < 3:  # until the third stands in the queue
                done.wait(0.001)
            assert not done.is_set()
            with pytest.raises(TooManyRequests) as caught, hasher.slot():
                pass
            assert caught.value.headers == {"Retry-After": "1"}
        assert done.wait(10)
        thread.join(10)
    with hasher.slot(), hasher.slot():
        pass


def test_a_name_without_an_account_costs_a_hash_and_answers_the_same() -> None:
    desk = Desk()
    answers = []
    for name in ("alice", "nobody", "\ud800", "", "a" * 10_000):
        with pytest.raises(Unauthenticated) as caught:
            desk.accounts.log_in(name, WRONG)
        answers.append((str(caught.value), caught.value.extra))
    assert desk.hasher.matched == [desk.alice.password_hash, None, None, None, None]
    assert all(answer == answers[0] for answer in answers)


def test_a_name_without_an_account_is_throttled_the_same() -> None:
    desk = Desk()
    for _ in range(limits.LOGIN_FREE_FAILURES + 1):
        desk.fail("alice")
        desk.fail("nobody")
    assert desk.wait("alice") == desk.wait("nobody") == 1


def test_the_delay_doubles_and_is_bounded() -> None:
    delays = [delay_s(failures) for failures in range(limits.LOGIN_FAILURES + 1)]
    assert delays[:10] == [0, 0, 0, 0, 0, 0, 1, 2, 4, 8]
    assert max(delays[:100]) == limits.LOGIN_DELAY_MAX_S
    assert delays[100] == limits.LOGIN_CLOSED_S


def test_a_closed_lane_looks_at_no_password_and_is_not_closed_longer_by_attempts() -> None:
    desk = Desk()
    desk.attack(8)
    hashed = len(desk.hasher.matched)
    for _ in range(100):
        assert desk.wait() == 4
    assert len(desk.hasher.matched) == hashed
    desk.clock.advance(4)
    assert desk.accounts.log_in("alice", GOOD).username == "alice"


def test_a_success_ends_the_row_of_failures() -> None:
    desk = Desk()
    desk.attack(6)
    desk.clock.advance(1)
    desk.accounts.log_in("alice", GOOD)
    desk.attack(5)
    assert desk.accounts.log_in("alice", GOOD).username == "alice"


def test_after_a_hundred_failures_there_is_one_attempt_a_day() -> None:
    desk = Desk()
    desk.attack(limits.LOGIN_FAILURES)
    assert desk.wait() == limits.LOGIN_CLOSED_S
    desk.clock.advance(limits.LOGIN_CLOSED_S)
    desk.fail()
    assert desk.wait() == limits.LOGIN_CLOSED_S
    desk.clock.advance(limits.LOGIN_CLOSED_S)
    assert desk.accounts.log_in("alice", GOOD).username == "alice"


def test_the_owner_logs_in_from_a_known_device_whatever_strangers_do() -> None:
    desk = Desk()
    device = desk.accounts.device_token(desk.alice)
    desk.attack(limits.LOGIN_FAILURES)
    assert desk.wait() == limits.LOGIN_CLOSED_S
    assert desk.accounts.log_in("Alice", GOOD, device).username == "alice"
    assert desk.wait() > 0  # and does not reopen the strangers' lane


def test_a_known_device_may_not_guess_without_end_either() -> None:
    desk = Desk()
    device = desk.accounts.device_token(desk.alice)
    for _ in range(6):
        desk.fail(device=device)
    assert desk.wait(device=device) == 1
    assert desk.accounts.log_in("alice", GOOD).username == "alice"


def test_a_device_of_another_account_a_forged_or_an_old_one_is_unknown() -> None:
    desk = Desk()
    mallory = desk.accounts.add("mallory", GOOD, ())
    device = desk.accounts.device_token(desk.alice)
    desk.attack(6)
    for other in (
        desk.accounts.device_token(mallory),
        "A" + device[1:],
        device[:-8],
        "é",
        "A" * 75,
    ):
        assert desk.wait(device=other) == 1
    desk.clock.advance(limits.DEVICE_S)
    desk.attack(6)
    assert desk.wait(device=device) == 1


def test_attempts_at_the_same_time_count_before_they_are_judged() -> None:
    clock = ManualClock()
    throttle = Throttle(MemoryState(clock), clock)
    for _ in range(limits.LOGIN_FREE_FAILURES + 1):
        throttle.enter("lane")
    with pytest.raises(TooManyRequests):
        throttle.enter("lane")


def test_no_room_to_hash_is_no_failure_of_the_account() -> None:
    desk = Desk()
    desk.hasher._room = 0
    for _ in range(50):
        with pytest.raises(TooManyRequests):
            desk.accounts.log_in("alice", GOOD)
    desk.hasher._room = 1
    assert desk.accounts.log_in("alice", GOOD).username == "alice"


def test_a_clock_set_back_does_not_shut_a_lane_for_good() -> None:
    clock = ManualClock()
    state = MemoryState(clock)
    later = ManualClock(clock.now_ms() + 10**12)
    ahead = Throttle(state, later)
    for _ in range(8):
        later.advance(60)
        ahead.enter("lane")
    throttle = Throttle(state, clock)
    with pytest.raises(TooManyRequests):
        throttle.check("lane")
    clock.advance(4)
    throttle.enter("lane")


@given(st.text())
def test_a_name_has_one_form(name: str) -> None:
    once = normal_username(name)
    if len(once) <= limits.USERNAME_LENGTH:
        assert normal_username(once) == once
