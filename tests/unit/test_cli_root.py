"""`wherry` itself: its help, its speed, its errors."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.unit.cli_kit import cli, ok
from wherry.cli.root import VERBS, wherry

WHERRY = [sys.executable, "-c", "from wherry.cli import main; main()"]


def test_the_six_words_of_a_newcomer_come_first() -> None:
    """The first group of the help page is what the first day needs, in that order."""
    first, *rest = VERBS
    assert list(VERBS[first]) == ["new", "dev", "run", "timeline", "failures", "check"]
    page = ok("--help")
    places = [page.index(f"\n  {name} ") for group in VERBS.values() for name in group]
    assert places == sorted(places)
    assert all(f"{title}:" in page for title in rest)
    assert "0 done, 1 failed or something was found, 2 misused" in page


@pytest.mark.parametrize("value", ["abc", "", "-5", "0", "1e3", "9" * 5_000])
def test_a_setting_that_is_wrong_is_refused_with_what_it_may_be(value: str, tmp_path: Path) -> None:
    """By every verb, before it does anything."""
    for verb in (["run"], ["check"], ["status"]):
        environment = {**os.environ, "WHERRY_RECORDS_S": value}
        command = [*WHERRY, *verb]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 1
        assert done.stderr.startswith("wherry: WHERRY_RECORDS_S=")
        assert "a whole number of seconds from 1 to 315,360,000" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed: str, tmp_path: Path) -> None:
    """Nor does another file take its place, into which an app would print."""
    (tmp_path / "loud.py").write_text(
        "import os\nfrom wherry import App\napp = App('loud')\n"
        "for fd in (0, 1, 2):\n    assert os.fstat(fd) and os.get_inheritable(fd)\nprint('hello')\n"
    )
    command = shlex.join([*WHERRY, "check", "loud:app", "--folder", str(tmp_path)])
    done = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("verb", ["--help", "check", "blueprint"])
def test_output_that_cannot_be_written_is_told_in_one_line(verb: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from wherry import App\napp = App('quiet')\n")
    with open("/dev/full", "w") as full:
        command = [*WHERRY, verb]
        done = subprocess.run(command, stdout=full, stderr=-1, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "wherry: the output cannot be written: No space left on device.\n"


@pytest.mark.parametrize("name", [name for group in VERBS.values() for name in group])
def test_every_verb_has_help(name: str) -> None:
    """Each verb of the help page is there and explains itself and its options."""
    command = wherry.get_command(click.Context(wherry), name)
    assert command is not None
    assert command.name == name
    assert ok(name, "--help").startswith(f"Usage: wherry {name}")
    if isinstance(command, click.Group):
        for sub in command.commands.values():
            assert sub.help
            assert ok(name, str(sub.name), "--help")


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every verb with the words that lead to it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize(("path", "command"), list(commands(wherry)), ids=str)
def test_every_help_page_ends_with_examples_that_parse(
    path: tuple[str, ...], command: click.Command
) -> None:
    """Each begins with the words of its page, and has no option that there is not."""
    lines = ok(*path, "--help").partition("For example:\n")[2].splitlines()
    assert lines
    for line in lines:
        typed = line.strip().partition("wherry ")[2].rstrip(")").partition(" <")[0]
        words = shlex.split(typed.partition(" >")[0])
        assert tuple(words[: len(path)]) == path
        verb, rest = command, words[len(path) :]
        if isinstance(verb, click.Group) and rest:
            verb = verb.get_command(click.Context(verb), rest.pop(0)) or verb
        verb.make_parser(click.Context(verb)).parse_args(rest)


def test_help_imports_nothing_heavy() -> None:
    """`wherry --help` loads click and itself: no engine, no store, no event loop."""
    code = (
        "import sys\n"
        "from wherry.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, *sorted(sys.modules), file=sys.stderr)\n"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    code_, *modules = run.stderr.split()
    assert code_ == "0"
    assert "Begin here:" in run.stdout
    heavy = {"asyncio", "apsw", "joserfc", "argon2", "wherry.engine", "wherry.app", "wherry.ports"}
    assert heavy & set(modules) == set()


def test_an_unknown_verb_is_a_misuse() -> None:
    """A mistyped verb exits with 2 and names the ones that are near."""
    result = cli("timelime")
    assert result.exit_code == 2
    assert "There is no verb 'timelime'. Did you mean timeline?" in result.stderr
    assert cli("--nonsense").exit_code == 2


def test_an_unknown_verb_of_a_group_is_answered_with_the_way_out() -> None:
    """Near ones are named; what stands in a verb's place may be the ID of a failure."""
    wrong = cli("secrets", "sett")
    assert (wrong.exit_code, "There is no verb 'sett'. Did you mean set?" in wrong.stderr) == (2, 1)
    wrong = cli("failures", "3f2a")
    assert (wrong.exit_code, "`wherry failures show 3f2a`" in wrong.stderr) == (2, True)


def test_the_version_is_told() -> None:
    """`wherry --version` is one word and a number."""
    assert ok("--version").split()[0] == "wherry"


def test_refusals_are_told_without_a_trace(tmp_path: Path) -> None:
    """What is wrong, then what to do, on standard error; exit code 1."""
    result = cli("status", "--data", tmp_path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[0].startswith("wherry: There is no wherry data in")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("verb", ["status", "reload", "stop"])
def test_verbs_of_an_engine_say_that_none_is_running(tmp_path: Path, verb: str) -> None:
    """With state and without an engine the word is that none is running."""
    (tmp_path / "store.sqlite").touch()
    result = cli(verb, "--data", tmp_path)
    assert result.exit_code == 1
    assert f"No engine is running on {tmp_path}" in result.stderr
