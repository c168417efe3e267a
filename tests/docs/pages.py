"""Pages of documentation as tests see them: links, blocks of code, and what running them gives."""

from __future__ import annotations

import doctest
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = [
    "ROOT",
    "Block",
    "Session",
    "Step",
    "anchors",
    "blocks",
    "broken_lines",
    "links",
    "pages",
    "run_session",
    "runnable",
    "sessions",
    "steps",
    "written_pages",
]

ROOT = Path(__file__).parent.parent.parent

_PACKAGES = (
    "adql",
    "obscore_view",
    "ppdb_replay",
    "prompt_products",
    "services",
    "tap_query",
    "tap_schema",
    "tapdb",
)
_FOLDERS = (*_PACKAGES, "benchmarks", "docs", "examples", "migrations", "sql", "tests", "tools")

_BLOCK = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_START = re.compile(r"^(?P<start>tapdb ephemeral .*--) (?:bash|python)\b", re.MULTILINE)
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_FENCED = re.compile(r"^(?P<indent> *)```.*?^(?P=indent)```$", re.MULTILINE | re.DOTALL)
# What is no prose, and what may hold a full stop that ends no sentence: code, comments, images and the
# targets of links, what stands in quotation marks or parentheses, the number of an item or a title, an
# ellipsis in a list, abbreviations.
_NO_PROSE = re.compile(r"\s*(?:[|>]|<!--)")
_NO_END = (
    (re.compile(r"`[^`]*`"), "code"),
    (re.compile(r"\]\([^)\s]*\)"), "]"),
    (re.compile(r"\"[^\"]*\"|“[^”]*”"), "quotation"),
    (re.compile(r"\([^()]*\)"), ""),
    (re.compile(r"^(\s*(?:[*-] |#+ )?\[?)\d+\. "), r"\1"),
    (re.compile(r", \.\.\."), ""),
    (re.compile(r"\b(?:e\.g|i\.e|cf|etc|vs|approx|et al)\."), "abbreviation"),
)
_INNER_END = re.compile(r"[.!?][\"'”*_)\]]*\s+\S")
_LAST = re.compile(r"[.!?:][\"'”*_)\]]*$")
_WORDS_OF_CODE = re.compile(r"(?:code ?)+")
_NEW = re.compile(r"\s*(?:[*+-] |\d+\. |#|!\[)")
_PROMPT, _MORE = "$ ", "> "
_CHECKER = doctest.OutputChecker()
_OPTIONS = doctest.ELLIPSIS
_TIMEOUT_S = 120
# What `tapdb serve` listens on in pages.
_PORT = r"\b8642\b"
_RUN = frozenset({"console", "python"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code; its line in the page is counted from 1."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a console, and what it is said to print."""

    command: str
    expected: str


@dataclass(frozen=True, slots=True)
class Session:
    """Blocks of a page that a reader runs one after another, from the line that gives them a database.

    Attributes
    ----------
    start
        The line up to the program, ``tapdb ephemeral --example --``; empty if no database is needed.
    """

    start: str
    blocks: tuple[Block, ...]


def pages() -> list[Path]:
    """Return all pages that people read, those at the top of the project too."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGES.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def written_pages() -> list[Path]:
    """Return all pages that people write: those in folders of code too, but what is generated whole."""
    found = [*ROOT.glob("*.md"), *(page for folder in _FOLDERS for page in (ROOT / folder).rglob("*.md"))]
    return sorted(page for page in found if page != ROOT / "docs" / "cli.md")


def runnable() -> list[Path]:
    """Return the pages with something in them that is run."""
    return [page for page in pages() if sessions(page)]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["text"], text.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(text)
    ]


def sessions(page: Path) -> list[Session]:
    """Return what is run of a page, by the database that it is run in."""
    start, found = "", {"": list[Block]()}
    for block in blocks(page):
        if block.language == "sh" and (line := _START.search(block.text)):
            start = line["start"]
            assert start not in found, f"{page.name}:{block.line}: a second {start}"
            found[start] = []
        elif block.language in _RUN:
            found[start].append(block)
    return [Session(start, tuple(shown)) for start, shown in found.items() if shown]


def links(page: Path) -> list[str]:
    """Return where the links of a page go to, code left out."""
    return [found["target"] for found in _LINK.finditer(_prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page give, as forges make them."""
    titles = (found["title"].lower().replace("`", "") for found in _HEADING.finditer(_prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def broken_lines(text: str) -> list[str]:
    """Return the lines of a page's prose that hold more than one sentence, or less than one.

    Code, tables and quotations are left as they are.
    """
    lines = _FENCED.sub("", text).splitlines()
    return [
        line.strip()
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if not _NO_PROSE.match(line) and (_INNER_END.search(_plain(line)) or _goes_on(line, after))
    ]


def _plain(line: str) -> str:
    """Return a line without the full stops that end no sentence."""
    before = ""
    while before != line:
        before = line
        for pattern, replacement in _NO_END:
            line = pattern.sub(replacement, line)
    return line


def _goes_on(line: str, after: str) -> bool:
    if not line.strip() or _WORDS_OF_CODE.fullmatch(_plain(line)):
        return False
    begins = not after.strip() or _NO_PROSE.match(after) or _NEW.match(after)
    return not (begins or line.startswith("#") or _LAST.search(_plain(line)))


def steps(block: Block) -> Iterator[Step]:
    """Yield the commands of a console: each begins with ``$``, further lines of it with ``>``."""
    command, expected = "", ""
    for line in block.text.splitlines():
        if line.startswith(_PROMPT):
            if command:
                yield Step(command, expected)
            command, expected = line.removeprefix(_PROMPT), ""
        elif line.startswith(_MORE) and not expected:
            command += f"\n{line.removeprefix(_MORE)}"
        else:
            expected += f"{line}\n"
    if command:
        yield Step(command, expected)


def run_session(session: Session) -> list[str]:
    """Run blocks here and return where what they printed is not what the page says; ``...`` is anything."""
    names: dict[str, Any] = {}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    # Two runs of the tests on a machine must not meet at the port that a page shows.
    moved = [replace(block, text=re.sub(_PORT, port, block.text)) for block in session.blocks]
    return [problem for block in moved for problem in _run_block(block, names)]


def _run_block(block: Block, names: dict[str, Any]) -> list[str]:
    """Run a block of a console, or of Python with its prompts, which adds to the names."""
    if block.language == "python":
        return _run_python(block, names)
    return [problem for step in steps(block) for problem in _run_step(step)]


def _run_step(step: Step) -> Iterator[str]:
    done = subprocess.run(
        ["bash", "-c", step.command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    printed = done.stdout + (f"[exit status {done.returncode}]\n" if done.returncode else "")
    printed = "".join(f"{line.rstrip()}\n" for line in printed.splitlines() if line.strip())
    expected = "".join(f"{line.rstrip()}\n" for line in step.expected.splitlines() if line.strip())
    if not _CHECKER.check_output(expected, printed, _OPTIONS):
        yield f"$ {step.command}\n--- page:\n{expected}--- printed:\n{printed}"


def _run_python(block: Block, names: dict[str, Any]) -> list[str]:
    problems: list[str] = []
    test = doctest.DocTestParser().get_doctest(block.text, names, f"line {block.line}", None, block.line)
    assert test.examples, f"line {block.line}: Python without prompts cannot be checked"
    runner = doctest.DocTestRunner(optionflags=_OPTIONS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=problems.append, clear_globs=False)
    names.update(test.globs)
    return problems


def _prose(page: Path) -> str:
    return re.sub(
        r"`[^`\n]*`",
        lambda found: found[0].replace("](", "] ("),
        _BLOCK.sub("", page.read_text(encoding="utf-8")),
    )


if __name__ == "__main__":
    # What a reader does: the blocks of a page after the line that is the second argument.
    shown = next(one for one in sessions(Path(sys.argv[1])) if one.start == sys.argv[2])
    problems = run_session(shown)
    sys.stdout.write("\n".join([*problems, f"{len(shown.blocks)} blocks, {len(problems)} problems\n"]))
