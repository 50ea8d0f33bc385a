"""One way to speak: to a terminal, to a machine, or not at all; warnings are kept by all."""

from __future__ import annotations

import sys

import pytest

from handful.errors import Problem
from handful.progress import Console, Silent, Speaker, Warnings


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


@pytest.mark.parametrize(
    "speaker", [Console(), Console(quiet=True), Console(machine=True), Silent(), Warnings()]
)
def test_no_findings_show_nothing(speaker: Speaker, capfd: pytest.CaptureFixture[str]) -> None:
    speaker.show([])
    assert capfd.readouterr() == ("", "")


def test_a_console_for_machines_counts_findings_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    Console(machine=True).show(problems(3))
    assert capfd.readouterr() == ("", "note: 3 findings about the photos; the JSON lists them\n")


def test_a_quiet_console_prints_findings_as_plain_lines_on_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    found = [Problem("error", "", "one class", "Add one"), *problems(50), Problem("note", "x", "grey", "No")]
    Console(quiet=True).show(found)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 51
    assert printed.err.startswith("error: one class. Add one\nwarning: 0.png: empty. Copy it again\n")


def test_python_callers_get_warnings_and_the_number_of_findings(capfd: pytest.CaptureFixture[str]) -> None:
    speaker = Warnings()
    talk(speaker)
    speaker.show([*problems(3), Problem("note", "x", "grey", "No")])
    speaker.show([Problem("note", "x", "grey", "No")])
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "handful: a warning",
        "handful: 3 findings about the photos, which the result lists; the first: 0.png: empty",
    ]
    assert speaker.warnings == ["a warning"]


def test_what_takes_a_while_shows_on_a_terminal_only(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Console().busy("assembling"):
        pass
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with (console := Console()).busy("assembling"):
        console.say("a line")
    printed = capfd.readouterr()
    assert printed.out == "a line\n"  # never moved to standard error with the display
    assert "assembling" in printed.err
