"""Check the pages: relative links exist, Python blocks compile, `handful` lines name real commands.

    python docs/check.py

Prints one line per finding, `page:line: what`, and ends with exit code 1 when there is one.
"""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
FOREIGN = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)  # https:, mailto:
FENCE = re.compile(r"\s*(```+|~~~+)\s*(\w*)")
SHELLS = {"sh", "bash", "console", "shell"}
ENDS = {"|", "&&", "||", ";", ">", ">>", "2>", "<", "&"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the page's line it starts on, its text."""

    language: str
    line: int
    text: str


def main() -> int:
    """Check every page; 0 when nothing was found."""
    commands = _commands()
    findings = [one for page in pages(REPOSITORY) for one in check(page, commands)]
    print("\n".join(findings) if findings else "All pages are in order.")
    return 1 if findings else 0


def pages(root: Path) -> list[Path]:
    """The Markdown files that people read."""
    top = [root / "README.md", root / "CONTRIBUTING.md", root / "CHANGELOG.md"]
    return [page for page in [*top, *sorted((root / "docs").rglob("*.md"))] if page.exists()]


def check(page: Path, commands: Any) -> list[str]:
    """Everything wrong with one page; `commands` is the command line's root, or None to skip those."""
    text = page.read_text(encoding="utf-8")
    found = list(dead_links(page, text))
    for block in blocks(text):
        if block.language == "python":
            found += uncompilable(block)
        elif block.language in SHELLS and commands is not None:
            found += unknown_words(block, commands)
    name = page.relative_to(REPOSITORY) if page.is_relative_to(REPOSITORY) else page
    return [f"{name}:{line}: {what}" for line, what in found]


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    start, language, kept = 0, "", []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if not fence and start:
            kept.append(line)
        elif fence and start:
            yield Block(language, start, textwrap.dedent("\n".join(kept)))
            start = 0
        elif fence:
            start, language, kept = number, fence[2].lower(), []


def dead_links(page: Path, text: str) -> Iterator[tuple[int, str]]:
    """Relative links to files that do not exist; links inside fenced blocks are text."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        inside ^= bool(FENCE.match(line))
        for target in LINK.findall("" if inside else line):
            path = target.partition("#")[0]
            if path and not FOREIGN.match(path) and not (page.parent / path).exists():
                yield number, f"the link to {path} leads nowhere"


def uncompilable(block: Block) -> Iterator[tuple[int, str]]:
    """A Python block that is not Python."""
    try:
        compile(block.text, "page", "exec")
    except SyntaxError as error:
        yield block.line + (error.lineno or 0), f"the Python block does not compile: {error.msg}"


def unknown_words(block: Block, commands: Any) -> Iterator[tuple[int, str]]:
    """Commands and options in `handful ...` lines that the command line does not have."""
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        words = _words(line)
        if words[:1] == ["handful"]:
            yield from ((number, what) for what in _strangers(words[1:], commands))


def _words(line: str) -> list[str]:
    """The words of a shell line up to its first pipe, redirection or comment."""
    try:
        words = shlex.split(line.strip().removeprefix("$ ").rstrip("\\"), comments=True)
    except ValueError:
        return []
    stop = next((place for place, word in enumerate(words) if word in ENDS), len(words))
    return words[:stop]


def _strangers(words: list[str], command: Any) -> Iterator[str]:
    """Walk down from the root: a word may name a command, an option must belong to one passed."""
    options = _options(command)
    for word in words:
        below = getattr(command, "commands", None)
        if word.startswith("-") and not re.fullmatch(r"-[\d.]*", word):
            if word.partition("=")[0] not in options:
                yield f"`handful` has no option {word} there"
        elif below is not None and word not in below:
            yield f"`handful` has no command {word}"
            return
        elif below is not None:
            command = below[word]
            options |= _options(command)


def _options(command: Any) -> set[str]:
    names = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    return names | {"--help"}


def _commands() -> Any:
    """The root of the command line, or None where it is not there (a page can be read without it)."""
    try:
        import typer.main

        from handful.cli import main as cli

        return typer.main.get_command(cli.app)
    except (ImportError, AttributeError):
        print(
            "note: handful.cli.main.app cannot be imported; `handful` lines are not checked", file=sys.stderr
        )
        return None


if __name__ == "__main__":
    sys.exit(main())
