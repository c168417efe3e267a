"""Write the generated parts of docs/: what the code itself knows best is taken from it.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest of a page is
written by hand. ``python -m tools.generate_docs`` rewrites what is not current, as ``make docs`` does.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from sqlalchemy.dialects import postgresql

from obscore_view.columns import OBSCORE_COLUMNS, ObsCoreColumn
from obscore_view.config.model import (
    ColumnTemplate,
    DataOrigin,
    DataRights,
    DatasetTypeConfig,
    EmbargoRule,
    ExtraColumnConfig,
    ObsCoreConfig,
    PresenceRule,
    ReleaseOptions,
    Section,
    SpatialPluginConfig,
    TapdbOptions,
    WhereBind,
)
from services.settings import ServiceSettings
from tapdb.cli.root import main as command_line
from tapdb.settings import Settings
from tapdb.sources import SqlSource, read_all_current
from tools import generate_adql, generate_ppdb

__all__ = ["CONFIG_SECTIONS", "DOCS", "PACKAGES", "PARTS", "commands", "generate", "settings_variables"]

PACKAGES = ("obscore_view", "adql", "tap_schema", "ppdb_replay")
"""Packages whose exported names are for users."""

DOCS = Path(__file__).parent.parent / "docs"

CONFIG_SECTIONS: dict[str, type[Section]] = {
    "": ObsCoreConfig,
    "dataset_types.NAME": DatasetTypeConfig,
    "extra_columns.NAME": ExtraColumnConfig,
    "where, dataset_type_constraints.NAME": WhereBind,
    "spatial_plugins.NAME": SpatialPluginConfig,
    "origin": DataOrigin,
    "tapdb": TapdbOptions,
    "tapdb.columns.NAME": ColumnTemplate,
    "tapdb.release": ReleaseOptions,
    "tapdb.release.embargo": EmbargoRule,
    "tapdb.release.data_rights": DataRights,
    "tapdb.presence.NAME": PresenceRule,
}
"""Sections of an ObsCore configuration by the place in which they stand."""

_RESULTS = DOCS.parent / "benchmarks" / "results" / "obscore.json"
_GROWTH = "![How times grow with the number of rows](images/obscore-growth.png)"
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SIGNATURE = re.compile(r"COMMENT ON FUNCTION (?P<signature>[^;]*?\)) IS '(?P<text>(?:[^']|'')*)'", re.DOTALL)
_OVERTAKEN = re.compile(r"\nOvertaken by decisions? .*?\)(?: (?P<what>[^()\n]*))?\.\n")
_RETURNS = re.compile(r"RETURNS (?P<type>.+?)(?: LANGUAGE|\n)")
_WIDTH = 100


def generate(text: str) -> str:
    """Return the text of a page with its parts generated again.

    Raises
    ------
    KeyError
        Raised if a part has a name that is not in `PARTS`.
    """
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found['name']]().strip()}\n{found[3]}", text)


def commands(
    command: click.Command = command_line,
    path: tuple[str, ...] = ("tapdb",),
    parent: click.Context | None = None,
) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    """Yield each command: its words, itself, and the context in which it shows its help."""
    settings = {**command.context_settings, "max_content_width": _WIDTH, "terminal_width": _WIDTH}
    context = click.Context(command, info_name=path[-1], parent=parent, **settings)
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None
            yield from commands(sub, (*path, name), context)


def settings_variables(settings: type[BaseSettings] = Settings) -> dict[str, FieldInfo]:
    """Return the environment variables that tapdb reads, with what they set."""
    prefix = settings.model_config["env_prefix"]
    return {f"{prefix}{name}".upper(): field for name, field in settings.model_fields.items()}


def _cli() -> str:
    parts = []
    for path, _, context in commands():
        level = "#" * min(len(path) + 1, 4)
        parts.append(f"{level} `{' '.join(path)}`\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(parts)


def _columns() -> str:
    rows = [
        (
            f"`{one.name}`",
            _sql_type(one),
            one.unit or "",
            one.ucd,
            _utype(one),
            _presence(one),
            f"{one.description}.",
        )
        for one in OBSCORE_COLUMNS
    ]
    return _table(("column", "type", "unit", "UCD", "utype", "in the view", "meaning"), rows)


def _sql_type(column: ObsCoreColumn) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(column.sql_type.compile(dialect=dialect)).lower().removeprefix("public.")


def _utype(column: ObsCoreColumn) -> str:
    return (column.utype or "").removeprefix("obscore:")


def _presence(column: ObsCoreColumn) -> str:
    if column.mandatory:
        return "always"
    if not column.std or column.name == "dataproduct_subtype":
        return "always, beside the standard's 30"
    return "if filled"


def _configuration() -> str:
    parts = []
    for place, section in CONFIG_SECTIONS.items():
        title = (
            f"### `{place}`"
            if "," not in place
            else f"### {', '.join(f'`{one}`' for one in place.split(', '))}"
        )
        heading = title if place else "### Top level"
        rows = [
            (f"`{name}`", _default(field), _plain(field.description or ""))
            for name, field in section.model_fields.items()
        ]
        parts.append(f"{heading}\n\n{_table(('key', 'default', 'meaning'), rows)}")
    return "\n".join(parts)


def _environment(settings: type[BaseSettings] = Settings) -> str:
    rows = [
        (f"`{name}`", _variable_default(field.default), _plain(field.description or ""))
        for name, field in settings_variables(settings).items()
    ]
    return _table(("variable", "default", "meaning"), rows)


def _variable_default(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`" if text else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or (isinstance(value, BaseModel | dict | tuple | frozenset | str) and not _shown(value)):
        return ""
    return f"`{value}`"


def _shown(value: Any) -> bool:
    return bool(value) and not isinstance(value, BaseModel)


def _functions() -> str:
    found = [_function(source) for source in read_all_current() if source.name.startswith("functions/")]
    return _table(("function", "returns", "for whom", "what it does"), sorted(found))


def _function(source: SqlSource) -> tuple[str, str, str, str]:
    comment = _SIGNATURE.search(source.create)
    returns = _RETURNS.search(source.create)
    assert comment is not None
    # OUT parameters alone say that it returns a record of them.
    returned = "record" if returns is None else returns["type"]
    reader = "everybody" if "TO PUBLIC" in source.create else "tapdb"
    return f"`{comment['signature']}`", f"`{returned}`", reader, comment["text"].replace("''", "'")


def _figures() -> str:
    if not _RESULTS.exists():
        return "No results are recorded yet; `make bench` measures and records them."
    figures: dict[str, float] = json.loads(_RESULTS.read_text(encoding="utf-8"))
    reaches = import_module("benchmarks.obscore.reach").REACHES
    rows = [
        (
            f"`{one.key}`",
            one.meaning,
            f"{figures[one.key]:.3g}",
            f"{one.limit:g}",
            _verdict(figures[one.key], one.limit),
        )
        for one in reaches
        if one.key in figures
    ]
    table = _table(("figure", "query", "measured", "to reach", ""), rows)
    return f"{table}\n{_GROWTH}" if (DOCS / "images" / "obscore-growth.png").exists() else table


def _api() -> str:
    parts = []
    for package in map(import_module, PACKAGES):
        public = [name for name in package.__all__ if not name.startswith("__")]
        rows = [(f"`{name}`", _summary(getattr(package, name))) for name in public]
        parts.append(
            f"## `{package.__name__}`\n\n{_summary(package)}\n\n{_table(('name', 'what it is'), rows)}"
        )
    return "\n".join(parts)


def _summary(thing: Any) -> str:
    if not isinstance(thing, type | ModuleType) and not callable(thing):
        return f"A value of {type(thing).__name__}."
    return _plain((inspect.getdoc(thing) or "").partition("\n\n")[0])


def _decisions() -> str:
    lines = []
    for page in sorted((DOCS / "adr").glob("[0-9]*.md")):
        title, _, rest = page.read_text(encoding="utf-8").removeprefix("# ").partition("\n")
        state = _OVERTAKEN.match(rest)
        numbers = ", ".join(re.findall(r"\[(\d+)\]", state[0])) if state else ""
        what = f", {state['what']}" if state and state["what"] else ""
        lines.append(f"* [{title}]({page.name}){numbers and f': overtaken by {numbers}{what}'}\n")
    return "".join(lines)


def _verdict(value: float, limit: float) -> str:
    return "reached" if value <= limit else "missed"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


PARTS: dict[str, Callable[[], str]] = {
    "adql-dialects": generate_adql.dialects,
    "adql-figures": generate_adql.figures,
    "adql-functions": generate_adql.functions,
    "adql-limits": generate_adql.limits,
    "adql-words": generate_adql.reserved_words,
    "api": _api,
    "cli": _cli,
    "columns": _columns,
    "configuration": _configuration,
    "decisions": _decisions,
    "environment": _environment,
    "service-environment": lambda: _environment(ServiceSettings),
    "figures": _figures,
    "functions": _functions,
    "lake-figures": generate_ppdb.lake_figures,
    "ppdb-figures": generate_ppdb.figures,
}
"""What makes each part, by its name."""


def main() -> int:
    """Rewrite the pages that are not current, and say which."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (current := generate(text)) != text:
            page.write_text(current, encoding="utf-8")
            print(f"Wrote docs/{page.relative_to(DOCS)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
