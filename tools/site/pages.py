"""Pages of the site: those of ``docs/`` and of the packages as they stand, API pages, their order.

Links between pages are those that code hosts follow; here they get the places that pages have in the site.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath

from tools.site.api import API, api_pages

__all__ = ["PARTS", "ROOT", "place_of", "sources", "stage"]

ROOT = Path(__file__).resolve().parents[2]

PARTS: dict[str, tuple[str, ...]] = {
    "Start": ("Overview <project/overview>", "concepts"),
    "For DBAs": (
        "dba",
        "configuration",
        "release",
        "presence",
        "ppdb",
        "ppdb-replication",
        "jobs",
        "follow",
        "coverage",
        "caom2",
        "obsplan",
        "observing-log",
        "watch",
        "scale",
        "lake-queries",
        "provenance",
    ),
    "For operators": ("serve", "tap-operator", "tap-schema", "links", "sia", "identifiers", "replay-http"),
    "For users": (
        "page",
        "notebooks/obscore",
        "notebooks/figure",
        "notebooks/external",
        "notebook",
        "external-code",
        "adql",
        "replay",
        "replay-store",
    ),
    "Reference": (
        *("cli", "columns", "formats", "adql-grammar", "replay-rewriting", "sql-functions", "errors"),
        *("api", *(f"api/{package}" for package in API)),
    ),
    "Project": (
        "project/contributing",
        "Changes <project/changes>",
        "adr/index",
        "License <project/license>",
    ),
}
"""Pages by part, in the order in which they are read."""

_TOP = {
    "README.md": "overview",
    "CONTRIBUTING.md": "contributing",
    "CHANGES.md": "changes",
    "LICENSE": "license",
}
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
_CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_REMOTE = re.compile(r"[a-z]+:")
# A decision is found from its list: a hundred more lines beside each page would help nobody.
_ALONE = "---\norphan: true\n---\n\n"
_HIDDEN = "```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"


def sources() -> dict[Path, PurePosixPath]:
    """Return the place in the site of each page that is a file of the project."""
    pages = [
        *(ROOT / name for name in _TOP),
        *ROOT.glob("[a-z]*/README.md"),
        *ROOT.glob("examples/*/README.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]
    notebooks = (ROOT / "docs" / "notebooks").glob("*.ipynb")
    return {page: place_of(page.relative_to(ROOT)) for page in sorted({*pages, *notebooks})}


def place_of(path: Path) -> PurePosixPath:
    """Return the place in the site of a page of the project, both relative."""
    first, *rest = path.parts
    if not rest:
        return PurePosixPath("project", f"{_TOP.get(first, path.stem.lower())}.md")
    if first != "docs":
        return PurePosixPath("project", f"{'-'.join(path.parts[:-1])}.md")
    name = "index.md" if rest[-1] == "README.md" else rest[-1]
    return PurePosixPath(*rest[:-1], name)


def stage(folder: Path) -> None:
    """Write the sources of the site; files that stay as they are keep their time, so that little is built.

    Parameters
    ----------
    folder
        Where to write; what else is there goes.
    """
    places = sources()
    wanted: dict[PurePosixPath, bytes] = {}
    for page, place in places.items():
        text, files = _text(page, place, places)
        wanted[place] = text.encode()
        wanted |= {there: file.read_bytes() for there, file in files.items()}
    wanted[PurePosixPath("index.md")] += "\n".join(["", *_toctrees(places)]).encode()
    wanted |= {PurePosixPath("api", f"{name}.md"): text.encode() for name, text in api_pages().items()}
    for place, content in wanted.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)
    for path in folder.rglob("*"):
        if path.is_file() and PurePosixPath(path.relative_to(folder).as_posix()) not in wanted:
            path.unlink()


def _text(
    page: Path, place: PurePosixPath, places: dict[Path, PurePosixPath]
) -> tuple[str, dict[PurePosixPath, Path]]:
    """Return a page with the links that it has in the site, and other files to which it leads."""
    text, files = page.read_text(encoding="utf-8"), dict[PurePosixPath, Path]()
    if page.name == "LICENSE":
        return f"# License\n\n```text\n{text}```\n", files
    if page.suffix != ".md":
        return text, files

    def link(found: re.Match[str]) -> str:
        target = found["target"]
        if _REMOTE.match(target):
            return found[0]
        goal = Path(normpath(page.parent / target))
        there = places.get(goal)
        if there is None:
            file = PurePosixPath(goal.relative_to(ROOT).as_posix())
            # Code is to be read, and no module of the package that the site is in.
            code = f"{file}.txt" if file.suffix == ".py" else file
            there = file.relative_to("docs") if file.parts[0] == "docs" else PurePosixPath("files", code)
            files[there] = goal
        return f"{found['before']}{relpath(there, place.parent)}{found['anchor'] or ''})"

    parts, end = list[str](), 0
    for code in _CODE.finditer(text):
        parts += [_LINK.sub(link, text[end : code.start()]), code[0]]
        end = code.end()
    head = _ALONE if place.parts[0] == "adr" and place.name != "index.md" else ""
    return "".join([head, *parts, _LINK.sub(link, text[end:])]), files


def _toctrees(places: dict[Path, PurePosixPath]) -> Iterator[str]:
    """Yield the order of pages, which stands hidden in the first of them."""
    packages = sorted(str(place.with_suffix("")) for place in places.values() if place.parts[0] == "project")
    listed = {page.rpartition("<")[2].rstrip(">") for pages in PARTS.values() for page in pages}
    for caption, pages in PARTS.items():
        shown = list(pages)
        if caption == "Project":
            shown += [page for page in packages if page not in listed]
        yield _HIDDEN.format(caption=caption, pages="\n".join(shown))
