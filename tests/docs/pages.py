"""Pages of documentation as tests see them: links, blocks of code, and what running them gives."""

from __future__ import annotations

import doctest
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Block", "Step", "anchors", "blocks", "links", "pages", "run_block", "runnable", "steps"]

ROOT = Path(__file__).parent.parent.parent

_BLOCK = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_PROMPT, _MORE = "$ ", "> "
_CHECKER = doctest.OutputChecker()
_OPTIONS = doctest.ELLIPSIS
_TIMEOUT_S = 120


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


def pages() -> list[Path]:
    """Return all pages that people read, those at the top of the project too."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGES.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def runnable() -> list[Path]:
    """Return the pages with something in them that is run."""
    return [page for page in pages() if any(one.language in {"console", "python"} for one in blocks(page))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["text"], text.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(text)
    ]


def links(page: Path) -> list[str]:
    """Return where the links of a page go to, code left out."""
    return [found["target"] for found in _LINK.finditer(_prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page give, as forges make them."""
    titles = (found["title"].lower().replace("`", "") for found in _HEADING.finditer(_prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


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


def run_block(block: Block, names: dict[str, Any], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Run a block and return where what it printed is not what the page says; ``...`` stands for anything.

    Parameters
    ----------
    block
        Block of a console, or of Python with its prompts.
    names
        Names that earlier blocks of Python have left; added to.
    environment, folder
        For commands of a console.
    """
    if block.language == "python":
        return _run_python(block, names)
    return [problem for step in steps(block) for problem in _run_step(step, environment, folder)]


def _run_step(step: Step, environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=dict(environment),
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
