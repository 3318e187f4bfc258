"""`wherry failures`: what the inbox shows, and the ways out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli_kit import Data, cli, ok, ok_json
from wherry.cli.backend import connected
from wherry.engine.datafolder import DataFolder, FolderInUse
from wherry.ports import Claim


@pytest.fixture
def data(tmp_path: Path) -> Data:
    data = Data(tmp_path / "data")
    data.fail("c-1", "aaa-1", "ValueError: no room")
    data.fail("c-2", "bbb-2")
    return data


def test_the_list_comes_without_a_verb(data: Data) -> None:
    """`wherry failures` lists, newest first, with or without options."""
    listed = ok("failures", "--data", data.path)
    assert listed == ok("failures", "list", "--data", data.path)
    assert listed.index("bbb-2") < listed.index("aaa-1")
    assert "ValueError: no room" in listed
    assert "2 in the inbox" in listed


def test_the_list_for_programs_is_a_list(data: Data) -> None:
    """With --json a list of records, payloads as JSON."""
    found = ok_json("failures", "--data", data.path)
    assert [one["id"] for one in found] == ["bbb-2", "aaa-1"]
    assert found[1]["body"] == {"order_id": "o-1"}
    assert found[1]["queue"] == "export_jobs"


def test_pages_follow_each_other(data: Data) -> None:
    """A page says how the next one is asked for."""
    first = ok("failures", "--limit", "1", "--data", data.path)
    assert "1 of 2 in the inbox" in first
    after = first.partition("--after ")[2].split(".")[0]
    second = ok("failures", "--limit", "1", "--after", after, "--data", data.path)
    assert "aaa-1" in second
    assert "bbb-2" not in second


def test_a_page_for_programs_says_where_it_ended(data: Data) -> None:
    """On standard error, so that what is piped stays JSON."""
    page = cli("failures", "--limit", "1", "--json", "--data", data.path)
    after = page.stderr.split()[-1]
    [row] = ok_json("failures", "--limit", "1", "--after", after, "--data", data.path)
    assert row["id"] == "aaa-1"


@pytest.mark.parametrize("after", ["zzz", "-3", "aaa-1", "", "9" * 30])
def test_an_end_of_a_page_that_is_none_is_refused(data: Data, after: str) -> None:
    """The first page again would look like the next one."""
    result = cli("failures", f"--after={after}", "--data", data.path)
    assert result.exit_code == 2
    assert "is no end of a page" in result.stderr


def test_a_rate_is_for_a_queue(data: Data) -> None:
    """With IDs it would be passed over."""
    result = cli("failures", "redrive", "aaa-1", "--per-second", "5", "--data", data.path)
    assert result.exit_code == 2
    assert "--per-second is for a --queue" in result.stderr
    assert len(ok_json("failures", "--data", data.path)) == 2


@pytest.mark.parametrize("rate", ["-5", "0", "nan", "inf", "1e9", "many"])
def test_a_rate_that_is_none_is_refused(data: Data, rate: str) -> None:
    """Nothing is begun."""
    slowly = ["--queue", "export_jobs", "--per-second", rate]
    result = cli("failures", "redrive", *slowly, "--data", data.path)
    assert result.exit_code == 2
    assert "is not" in result.stderr
    assert ok_json("failures", "redrives", "--data", data.path) == []


def test_stopping_what_is_not_under_way_says_so(data: Data) -> None:
    assert ok("failures", "stop", "export_jobs", "--data", data.path) == (
        "No redrive of 'export_jobs' is under way.\n"
    )


def test_a_mistyped_verb_is_not_taken_for_an_id(data: Data) -> None:
    """An ID is looked for only where no verb is near."""
    near = cli("failures", "redriev", "--data", data.path).stderr
    assert "Did you mean redrive" in near
    assert "failures show" not in near
    assert "wherry failures show 3f2a" in cli("failures", "3f2a", "--data", data.path).stderr


def test_one_failure_is_shown_with_its_timeline(data: Data) -> None:
    """Error, payload, and the request that it came from; the beginning of the ID is enough."""
    shown = ok("failures", "show", "aaa", "--data", data.path)
    assert '"order_id": "o-1"' in shown
    assert "POST /orders" in shown
    assert "wherry failures show aaa-1" in shown
    assert ok_json("failures", "show", "aaa-1", "--data", data.path)["failure"]["id"] == "aaa-1"


@pytest.mark.parametrize("verb", [["show"], ["redrive"], ["discard", "--reason", "x"]])
def test_an_unknown_failure_is_told_with_its_neighbours(data: Data, verb: list[str]) -> None:
    """A mistyped ID is answered with the ones that are near; nothing is done."""
    result = cli("failures", *verb, "aab-1", "--data", data.path)
    assert result.exit_code == 1
    assert "There is no failure 'aab-1'" in result.stderr
    assert "Did you mean aaa-1?" in result.stderr
    assert len(ok_json("failures", "--data", data.path)) == 2


def test_what_is_redriven_is_in_its_queue_again(data: Data) -> None:
    """A redriven message leaves the inbox with its ID kept."""
    assert ok("failures", "redrive", "aaa-1", "--data", data.path) == "1 redriven.\n"
    assert [one["id"] for one in ok_json("failures", "--data", data.path)] == ["bbb-2"]
    (claims,) = data.ask(Claim("export_jobs", 10, "engine-2"))
    assert [message.id for message in claims.messages] == ["aaa-1"]


def test_a_whole_queue_is_redriven(data: Data) -> None:
    """--queue takes all of it, and an unknown queue nothing."""
    wrong = cli("failures", "redrive", "--queue", "export_job", "--data", data.path)
    assert wrong.exit_code == 1
    assert "Did you mean export_jobs?" in wrong.stderr
    assert ok_json("failures", "redrive", "--queue", "export_jobs", "--data", data.path) == {
        "redriven": 2
    }
    assert "The failure inbox is empty." in ok("failures", "--data", data.path)


def test_a_rate_that_is_asked_for_holds_for_few_as_well(data: Data) -> None:
    """With --per-second a queue's failures go back little by little, however few there are."""
    slowly = ("--queue", "export_jobs", "--per-second", "0.5")
    assert "0.5 a second" in ok("failures", "redrive", *slowly, "--data", data.path)
    (job,) = ok_json("failures", "redrives", "--data", data.path)
    assert (job["queue"], job["per_s"]) == ("export_jobs", 0.5)
    assert "is stopped" in ok("failures", "stop", "export_jobs", "--data", data.path)


def test_a_message_is_edited_on_its_way(data: Data, tmp_path: Path) -> None:
    """With --payload it goes with other content and a new ID; what is no JSON goes nowhere."""
    wrong = cli("failures", "redrive", "aaa-1", "--payload", "-", "--data", data.path, stdin="{")
    assert wrong.exit_code == 1
    assert "no JSON" in wrong.stderr
    edited = tmp_path / "edited.json"
    edited.write_text('{"order_id": "o-2"}\n')
    told = ok("failures", "redrive", "aaa-1", "--payload", edited, "--data", data.path)
    (claims,) = data.ask(Claim("export_jobs", 10, "engine-2"))
    (message,) = claims.messages
    assert message.body == b'{"order_id": "o-2"}'
    assert message.id in told


def test_a_payload_that_its_consumer_cannot_read_goes_nowhere(data: Data, tmp_path: Path) -> None:
    """The failure stays as it was: what it had carried would be lost with the edit."""
    edited = tmp_path / "edited.json"
    edited.write_text('{"order_id": 5}\n')
    wrong = cli("failures", "redrive", "aaa-1", "--payload", edited, "--data", data.path)
    assert wrong.exit_code == 1
    assert "The payload is no" in wrong.stderr
    (row,) = [one for one in ok_json("failures", "--data", data.path) if one["id"] == "aaa-1"]
    assert row["body"] == {"order_id": "o-1"}


def test_a_payload_of_an_old_form_may_be_edited_in_that_form(data: Data, tmp_path: Path) -> None:
    """What failed may be older than its type, which upgrades it."""
    data.fail("c-3", "ccc-3", body=b'{"order": "o-3"}')
    edited = tmp_path / "edited.json"
    edited.write_text('{"order": "o-4"}')
    ok("failures", "redrive", "ccc-3", "--payload", edited, "--data", data.path)
    (claims,) = data.ask(Claim("export_jobs", 10, "engine-2"))
    assert [message.body for message in claims.messages] == [b'{"order": "o-4"}']


def test_nothing_is_redriven_to_a_consumer_that_is_gone(data: Data) -> None:
    """It would wait where nobody takes it, and be in no inbox."""
    shop = (data.code / "shop.py").read_text()
    data.deploy("later", shop.replace("max_attempts=3", "max_attempts=3, name='other_jobs'"))
    for how in (["aaa-1"], ["--queue", "export_jobs"]):
        refused = cli("failures", "redrive", *how, "--data", data.path)
        assert (refused.exit_code, "Nobody takes from 'export_jobs'" in refused.stderr) == (1, True)
    assert len(ok_json("failures", "--data", data.path)) == 2
    assert "2 discarded" in ok(
        "failures", "discard", "--queue", "export_jobs", "--reason", "gone", "--data", data.path
    )


def test_a_function_that_was_paused_and_renamed_may_go_on(data: Data) -> None:
    """`wherry queues` advises it; another name that nobody has is still told."""
    assert "is paused" in ok("pause", "export", "--data", data.path)
    shop = (data.code / "shop.py").read_text()
    data.deploy("later", shop.replace("def export(", "def export_orders("))
    assert ok("resume", "export", "--data", data.path) == "'export' goes on.\n"
    unknown = cli("resume", "export_order", "--data", data.path)
    assert (unknown.exit_code, "Did you mean export_orders" in unknown.stderr) == (1, True)


def test_giving_up_wants_a_reason(data: Data) -> None:
    """Discarding without a word is a misuse, told when it is clear what is meant."""
    assert cli("failures", "discard", "aaa-1", "--data", data.path).exit_code == 2
    assert cli("failures", "discard", "aaa-1", "--reason", " ", "--data", data.path).exit_code == 2
    unknown = cli("failures", "discard", "no-such", "--data", data.path)
    assert (unknown.exit_code, "There is no failure 'no-such'" in unknown.stderr) == (1, True)
    unknown = cli("failures", "discard", "--queue", "no-such", "--data", data.path)
    assert (unknown.exit_code, "There is no queue 'no-such'" in unknown.stderr) == (1, True)
    told = ok("failures", "discard", "aaa-1", "--reason", "test data", "--data", data.path)
    assert told == "1 discarded.\n"
    assert "discarded" in ok("timeline", "c-1", "--data", data.path)


def test_ids_and_queue_are_a_choice(data: Data) -> None:
    """Neither, or both, is a misuse."""
    assert cli("failures", "redrive", "--data", data.path).exit_code == 2
    both = cli("failures", "redrive", "aaa-1", "--queue", "export_jobs", "--data", data.path)
    assert both.exit_code == 2


def test_without_state_there_is_a_word_what_to_do(tmp_path: Path) -> None:
    """A folder where nothing ran is told as such, and is not made."""
    result = cli("failures", "--data", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "Start the app once" in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_another_process_owns_is_not_opened(data: Data) -> None:
    """Where somebody holds the lock and does not answer, the refusal names who it is."""
    with (
        DataFolder.open(str(data.path)),
        pytest.raises(FolderInUse, match="is in use by process"),
        connected(str(data.path), patience_s=0.0),
    ):
        pass


def test_work_of_a_queue_is_of_no_run(data: Data) -> None:
    """For programs the field is there, and empty."""
    (first, second) = ok_json("failures", "--data", data.path)
    assert (first["run"], second["run"]) == (None, None)
