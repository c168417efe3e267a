"""Scripts and styles of built pages as files: a Content-Security-Policy of ``'self'`` runs nothing inline."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from os.path import relpath
from pathlib import Path

__all__ = ["move_inline_parts"]

_SCRIPT = re.compile(r"<script>(?P<text>.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style(?: type=\"text/css\")?>(?P<text>.*?)</style>", re.DOTALL)
_ATTRIBUTE = re.compile(
    r"<(?P<tag>[a-z][a-z0-9]*)(?P<before>(?:\s[^<>]*?)?) style=\"(?P<text>[^\"]*)\"(?P<after>[^<>]*)>"
)
_CLASS = re.compile(r" class=\"(?P<names>[^\"]*)\"")
_FOLDER = "_static/parts"


def move_inline_parts(folder: Path) -> int:
    """Move scripts, styles and attributes ``style`` of all pages into files below ``_static``.

    A script stays in its place, so that it runs at the same moment as before; the same text is one file.

    Parameters
    ----------
    folder
        The built site.

    Returns
    -------
    int
        How many files were written.
    """
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    for page in sorted(folder.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        if (moved := _moved(text, page, folder, written)) != text:
            page.write_text(moved, encoding="utf-8")
    return len(written)


def _moved(text: str, page: Path, folder: Path, written: set[str]) -> str:
    def file(content: str, suffix: str) -> str:
        name = f"{_FOLDER}/{sha256(content.encode()).hexdigest()[:12]}.{suffix}"
        if name not in written:
            (folder / name).write_text(content, encoding="utf-8")
            written.add(name)
        return relpath(folder / name, page.parent)

    rules: dict[str, str] = {}
    text = _SCRIPT.sub(lambda found: f'<script src="{file(found["text"], "js")}"></script>', text)
    text = _STYLE.sub(lambda found: _sheet(file(found["text"], "css")), text)
    text = _ATTRIBUTE.sub(_as_class(rules), text)
    if rules:
        content = "".join(f".{name} {{ {rule} }}\n" for name, rule in sorted(rules.items()))
        text = text.replace("</head>", f"{_sheet(file(content, 'css'))}</head>", 1)
    return text


def _sheet(path: str) -> str:
    return f'<link rel="stylesheet" type="text/css" href="{path}">'


def _as_class(rules: dict[str, str]) -> Callable[[re.Match[str]], str]:
    """Return what makes a class of an attribute, and notes its rule."""

    def replace(found: re.Match[str]) -> str:
        name = f"part-{sha256(found['text'].encode()).hexdigest()[:8]}"
        rules[name] = found["text"]
        others = f"{found['before']}{found['after']}"
        if _CLASS.search(others):
            others = _CLASS.sub(lambda one: f' class="{one["names"]} {name}"', others, count=1)
        else:
            others = f' class="{name}"{others}'
        return f"<{found['tag']}{others}>"

    return replace
