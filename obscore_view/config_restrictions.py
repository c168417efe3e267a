"""What the query expressions of a configuration may get wrong, as far as that is known without a registry."""

from __future__ import annotations

from collections.abc import Iterator

from obscore_view.config_model import ObsCoreConfig
from obscore_view.config_problems import Finding
from obscore_view.config_sections import WhereBind
from obscore_view.errors import ConfigError
from obscore_view.where_syntax import parse_where
from obscore_view.where_time import parse_time_tai_ns
from obscore_view.where_tree import Bind, Name, TimeText, walk

__all__ = ["find_where_problems"]

Path = tuple[str | int, ...]


def find_where_problems(config: ObsCoreConfig) -> Iterator[Finding]:
    """Yield what is wrong with the expressions of a configuration and with the values of their binds."""
    yield from _where(("where",), config.where)
    for name, constraints in config.dataset_type_constraints.items():
        for index, constraint in enumerate(constraints):
            yield from _where(("dataset_type_constraints", name, index), constraint)


def _where(path: Path, where: WhereBind) -> Iterator[Finding]:
    try:
        tree = parse_where(where.where)
    except ConfigError as error:
        yield from (((*path, "where"), problem.problem, problem.remedy) for problem in error.problems)
        return
    nodes = [node for node in (walk(tree) if tree else ()) if isinstance(node, Bind | Name | TimeText)]
    for node in nodes:
        if isinstance(node, TimeText):
            yield from _time((*path, "where"), node.text)
        elif isinstance(node, Bind) and node.name not in where.bind:
            yield (
                (*path, "where"),
                f'found the bind ":{node.name}", which has no value',
                "give it one in bind",
            )
    used = {node.name for node in nodes if not isinstance(node, TimeText)}
    for name in where.bind:
        if name not in used:
            yield (*path, "bind", name), "no such name in the expression", "use it there, or remove it"


def _time(path: Path, text: str) -> Iterator[Finding]:
    try:
        parse_time_tai_ns(text)
    except ValueError as error:
        yield path, f"found T'{text}'", str(error)
