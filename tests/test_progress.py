"""One way to speak: to a terminal, to a machine, or not at all; warnings are kept by all."""

from __future__ import annotations

import sys

import pytest

from handful.errors import Problem
from handful.progress import Console, Silent, Speaker


def talk(speaker: Speaker) -> None:
    speaker.say("a line")
    speaker.warn("a warning")
    with speaker.bar("photos", 2) as advance:
        advance(1)
        advance(1)


def test_silent_says_nothing_and_keeps_the_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    speaker = Silent()
    talk(speaker)
    assert capfd.readouterr() == ("", "")
    assert speaker.warnings == ["a warning"]


def test_two_speakers_keep_their_warnings_apart() -> None:
    one, other = Silent(), Silent()
    one.warn("a warning")
    assert other.warnings == []


def test_a_console_tells_lines_on_one_stream_and_warnings_on_the_other(
    capfd: pytest.CaptureFixture[str],
) -> None:
    speaker = Console()
    talk(speaker)
    assert capfd.readouterr() == ("a line\n", "note: a warning\n")
    assert speaker.warnings == ["a warning"]


@pytest.mark.parametrize("speaker", [Console(quiet=True), Console(machine=True)], ids=["quiet", "machine"])
def test_a_quiet_console_keeps_to_warnings(speaker: Console, capfd: pytest.CaptureFixture[str]) -> None:
    talk(speaker)
    assert capfd.readouterr() == ("", "note: a warning\n")
    assert speaker.warnings == ["a warning"]


def test_a_bar_shows_on_a_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_INTERACTIVE", "1")  # rich asks this and FORCE_COLOR before the stream
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Console().bar("photos through the network", 3) as advance:
        advance(3)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "photos through the network" in printed.err
    assert "3/3" in printed.err


@pytest.mark.parametrize("quiet", [False, True])
def test_a_bar_of_nothing_or_for_nobody_shows_nothing(
    quiet: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Console(quiet=quiet).bar("photos", 3 if quiet else 0) as advance:
        advance(0)
    assert capfd.readouterr() == ("", "")


def test_a_bar_lets_an_error_through() -> None:
    with pytest.raises(KeyError, match="lost"), Silent().bar("photos", 1):
        raise KeyError("lost")


def problems(count: int) -> list[Problem]:
    return [Problem("warning", f"{n}.png", "empty", "Copy it again") for n in range(count)]


def test_findings_are_shown_as_a_table_of_file_what_and_fix(capfd: pytest.CaptureFixture[str]) -> None:
    Console().show([*problems(1), Problem("note", "", "one class is small", "Add [b]photos[/b]")])
    printed = capfd.readouterr().out
    assert printed.splitlines()[1].split()[:4] == ["warning", "0.png", "empty", "Copy"]
    assert "(all)" in printed
    assert "[b]photos[/b]" in printed  # data, never markup


def test_more_findings_than_fit_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    Console().show(problems(100))
    printed = capfd.readouterr().out
    assert "39.png" in printed
    assert "40.png" not in printed
    assert "60 more" in printed


@pytest.mark.parametrize("speaker", [Console(), Console(quiet=True), Console(machine=True), Silent()])
def test_no_findings_show_nothing(speaker: Speaker, capfd: pytest.CaptureFixture[str]) -> None:
    speaker.show([])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("speaker", [Console(quiet=True), Console(machine=True)], ids=["quiet", "machine"])
def test_a_quiet_console_counts_findings_on_standard_error(
    speaker: Console, capfd: pytest.CaptureFixture[str]
) -> None:
    speaker.show(problems(3))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "3 findings" in printed.err
