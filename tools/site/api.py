"""API pages from docstrings: what each package exports, and the types that these name in their signatures."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, get_args, get_type_hints

from tools.generate_docs import PACKAGES

__all__ = ["API", "api_pages"]

API = (*PACKAGES, "tapdb")
"""Packages with a page; of `tapdb` it has the types that the others name."""

_REST = "```{{eval-rst}}\n{}\n```\n"


def api_pages() -> dict[str, str]:
    """Return the text of the page of each package, in Markdown."""
    packages = [import_module(name) for name in API]
    exported = {package.__name__: list(_exports(package)) for package in packages}
    named = _named(value for values in exported.values() for _, value in values)
    return {
        package.__name__: _page(
            package,
            exported[package.__name__],
            sorted((one for one in named if _top(one) == package.__name__), key=_name),
        )
        for package in packages
    }


def _exports(package: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in package.__all__:
        if not name.startswith("__"):
            yield f"{package.__name__}.{name}", getattr(package, name)


def _page(package: ModuleType, exported: Iterable[tuple[str, Any]], named: Iterable[type]) -> str:
    parts = [f"# `{package.__name__}`\n", _REST.format(_directive("module", package.__name__))]
    for name, value in exported:
        parts += [f"## `{name.rpartition('.')[2]}`\n", _REST.format(_directive(_kind(value), name))]
    types = [_REST.format(_directive("class", _name(one))) for one in named]
    return "\n".join([*parts, *(["## Types that these name\n", *types] if types else [])])


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if callable(value) else "data"


def _directive(kind: str, name: str) -> str:
    option = {"module": "\n   :no-members:", "class": "\n   :members:"}.get(kind, "")
    return f".. auto{kind}:: {name}{option}"


def _named(values: Iterable[Any]) -> set[type]:
    """Return the public types of ours that values name in annotations, and those that these name."""
    waiting = list(values)
    known = {value for value in waiting if isinstance(value, type)}
    found: set[type] = set()
    while waiting:
        new = {one for hint in _hints(waiting.pop()) for one in _types(hint) if _is_ours(one)} - known - found
        found |= new
        waiting += new
    return found


def _hints(value: Any) -> Iterator[Any]:
    """Yield the annotations of a function, or of a class and what is public in it."""
    if isinstance(value, type):
        yield from get_type_hints(value).values()
        for name, member in vars(value).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if not name.startswith("_") and inspect.isfunction(function):
                yield from get_type_hints(function).values()
    elif inspect.isroutine(value):
        yield from get_type_hints(value).values()


def _types(hint: Any) -> Iterator[type]:
    """Yield the types that an annotation is made of."""
    if isinstance(hint, list):
        for one in hint:
            yield from _types(one)
    elif parts := get_args(hint):
        for part in parts:
            yield from _types(part)
    elif isinstance(hint, type):
        yield hint


def _is_ours(value: type) -> bool:
    return _top(value) in API and not value.__name__.startswith("_")


def _top(value: type) -> str:
    return value.__module__.partition(".")[0]


def _name(value: type) -> str:
    return f"{value.__module__}.{value.__name__}"
