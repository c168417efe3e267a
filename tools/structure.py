"""Measure the structure of the packages: how many rooms there are, and what one change takes to read.

``python -m tools.structure`` prints the figures and writes ``benchmarks/results/structure.json``; with the
record that ``make test`` writes (``make test-minutes``) it notes how long that took;
``tests/tapdb/test_structure.py`` holds the rules of CONTRIBUTING with the functions below. Text and syntax
alone are read, but for `class_chains`.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import grimp

from benchmarks.results_file import RESULTS, Reach, missed, print_table, read_results, write_results

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "tapdb",
    "adql",
    "tap_query",
    "obscore_view",
    "ppdb_replay",
    "prompt_products",
    "tap_schema",
    "services",
)

LATER_FOLDERS = (
    *("services", "tap_query/formats", "tapdb/replication", "obscore_view/follow", "obscore_view/cli/follow"),
    *("tapdb/cli/following", "ppdb_replay/following", "ppdb_replay/cli/follow"),
    *("obscore_view/view/published", "prompt_products"),
)
"""What came with the services and after them: the number of modules is that of the packages before."""

READ_COLUMN = (
    "obscore_view/columns.py",
    "obscore_view/select/row.py",
    "obscore_view/select/relations.py",
    "obscore_view/select/kept_rows.py",
)
"""What a person reads before filling one more column of ObsCore: what it is, what fills it, from where."""
READ_FUNCTION = (
    "adql/README.md",
    "adql/words.py",
    "adql/forms.py",
    "adql/types.py",
    "adql/check/checker.py",
    "adql/check/literals.py",
    "adql/check/functions.py",
    "adql/backends/postgres/pieces.py",
    "adql/backends/postgres/functions.py",
)
"""What a person reads before adding one more ADQL function of numbers or texts (recipe in adql/README.md)."""
READ_RECORD = (
    "ppdb_replay/README.md",
    "ppdb_replay/replaying/record.py",
    "ppdb_replay/replaying/execution.py",
    "ppdb_replay/replaying/replayer.py",
    "ppdb_replay/votable/writer.py",
)
"""What a person reads before keeping one more field in the replay record (recipe in its README)."""

REACHES = (
    Reach("modules", 205, "modules in the six packages, folders of the services aside"),
    Reach("folder_max", 16, "modules in the largest folder"),
    Reach("chain_max", 3, "classes in the deepest chain of inheritance, errors aside"),
    Reach("import_share", 0.06, "share of lines that are imports or __all__"),
    Reach("read_column", 1300, "lines to read for one more column of ObsCore"),
    Reach("read_function", 1450, "lines to read for one more ADQL function"),
    Reach("read_record", 1100, "lines to read for one more field of the replay record"),
    Reach("vs_sqlglot_ratio", 0.45, "time to parse, of sqlglot's (adql.json)"),
    Reach("test_minutes", 10, "minutes of `make test` on two cores"),
)
# As `make test` runs them.
TEST_WORKERS = 2


@dataclass(frozen=True)
class Module:
    """One file of Python.

    Attributes
    ----------
    path
        Relative to the project.
    text
        All of it.
    """

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Name by which it is imported; of an ``__init__`` that of its package."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """Top-level package that it belongs to."""
        return self.path.parts[0]

    @cached_property
    def lines(self) -> list[str]:
        """Lines of its text."""
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text)

    @property
    def imported_lines(self) -> set[int]:
        """Numbers of the lines that are imports."""
        return {
            number
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for number in range(node.lineno, node.lineno + _height(node))
        }

    @property
    def public(self) -> list[str]:
        """Names in its ``__all__``; empty if it has none."""
        for node in self.tree.body:
            if _is_all(node):
                assert isinstance(node, ast.Assign)
                return [str(name) for name in ast.literal_eval(node.value)]
        return []


def read_modules(packages: Sequence[str] = PACKAGES, root: Path = PROJECT) -> list[Module]:
    """Return all modules of some packages, sorted by path."""
    files = [file for package in packages for file in sorted(root.joinpath(package).rglob("*.py"))]
    return [Module(file.relative_to(root), file.read_text(encoding="utf-8")) for file in files]


def modules_before_services(modules: Sequence[Module]) -> list[Module]:
    """Return the modules outside of the folders that came with the services."""
    return [module for module in modules if not module.path.as_posix().startswith(LATER_FOLDERS)]


def modules_in_folders(modules: Sequence[Module]) -> dict[str, int]:
    """Return how many modules lie in each folder, ``__init__`` aside."""
    counts: dict[str, int] = defaultdict(int)
    for module in modules:
        counts[module.path.parent.as_posix()] += module.path.name != "__init__.py"
    return dict(counts)


def import_share(modules: Sequence[Module]) -> float:
    """Return which share of all lines is imports or ``__all__``."""
    imports = sum(
        _height(node)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_all(node)
    )
    return imports / sum(len(module.lines) for module in modules)


def class_chains(modules: Sequence[Module]) -> dict[str, list[type]]:
    """Return for each class of our own, errors aside, the longest chain of our classes that ends in it."""
    names = {module.name for module in modules}
    classes = {
        thing
        for name in names
        for thing in vars(importlib.import_module(name)).values()
        if isinstance(thing, type) and thing.__module__ in names and not issubclass(thing, BaseException)
    }
    return {f"{one.__module__}.{one.__qualname__}": _chain(one, classes) for one in classes}


def _chain(one: type, classes: set[type]) -> list[type]:
    chains = [_chain(base, classes) for base in one.__bases__ if base in classes]
    return [*max(chains, key=len, default=[]), one]


def lone_subclasses(chains: dict[str, list[type]]) -> dict[str, str]:
    """Return abstract classes that have just one subclass, with its name."""
    below: dict[type, set[type]] = defaultdict(set)
    for chain in chains.values():
        for base, subclass in pairwise(chain):
            below[base].add(subclass)
    return {
        f"{base.__module__}.{base.__qualname__}": next(iter(subclasses)).__qualname__
        for base, subclasses in below.items()
        if len(subclasses) == 1 and getattr(base, "__abstractmethods__", None)
    }


def import_cycles(packages: Sequence[str] = PACKAGES) -> list[list[str]]:
    """Return groups of modules that import each other in a circle, imports for types alone counted too."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    edges = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    return sorted(sorted(group) for group in _components(edges) if len(group) > 1)


def _components(edges: dict[str, set[str]]) -> Iterator[set[str]]:
    """Yield the strongly connected components of a graph (Kosaraju)."""
    order: list[str] = []
    seen: set[str] = set()
    for start in sorted(edges):
        stack = [(start, iter(sorted(edges[start])))] if start not in seen else []
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            following = next((other for other in rest if other not in seen), None)
            if following is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges[following]))))
    backwards: dict[str, set[str]] = defaultdict(set)
    for node, targets in edges.items():
        for target in targets:
            backwards[target].add(node)
    left = set(order)
    for start in reversed(order):
        component, waiting = set(), [start] if start in left else []
        while waiting:
            node = waiting.pop()
            if node in left:
                left.remove(node)
                component.add(node)
                waiting.extend(backwards[node])
        if component:
            yield component


def repeated_lines(modules: Sequence[Module], length: int = 6) -> list[tuple[str, str]]:
    """Return pairs of places in different packages that have as many lines in common, as ``path:line``.

    Blank lines, comments, imports and lone punctuation are passed over.
    """
    places: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for module in modules:
        imported = module.imported_lines
        kept = [
            (number, line.strip())
            for number, line in enumerate(module.lines, 1)
            if _counts(line) and number not in imported
        ]
        for start in range(len(kept) - length + 1):
            window = tuple(line for _, line in kept[start : start + length])
            places[window].append((module.package, f"{module.path.as_posix()}:{kept[start][0]}"))
    return sorted(
        {
            (first, second)
            for found in places.values()
            for package, first in found
            for other, second in found
            if package < other
        }
    )


def _counts(line: str) -> bool:
    text = line.strip()
    return bool(re.search(r"\w", text)) and not text.startswith("#")


def lines_to_read(files: Sequence[str], root: Path = PROJECT) -> int:
    """Return how many lines some files have together."""
    return sum(len(root.joinpath(file).read_text(encoding="utf-8").splitlines()) for file in files)


def figures() -> dict[str, float]:
    """Return the figures that follow from the tree alone, and the speed last measured."""
    modules = read_modules()
    return {
        "modules": len(modules_before_services(modules)),
        "folder_max": max(modules_in_folders(modules).values()),
        "chain_max": max(map(len, class_chains(modules).values())),
        "import_share": import_share(modules),
        "read_column": lines_to_read(READ_COLUMN),
        "read_function": lines_to_read(READ_FUNCTION),
        "read_record": lines_to_read(READ_RECORD),
        "vs_sqlglot_ratio": read_results("adql")["vs_sqlglot_ratio"],
    }


def minutes_of(record: Path) -> float:
    """Return how many minutes a run of ``make test`` took, by its own record.

    Raises
    ------
    ValueError
        Raised if the run failed, or did not run on two cores.
    """
    run = json.loads(record.read_text(encoding="utf-8"))
    if run["failed"] or run["workers"] != TEST_WORKERS:
        raise ValueError(f"{record}: not a run of {TEST_WORKERS} workers in which all tests passed: {run}")
    return float(run["seconds"]) / 60


def _height(node: ast.AST) -> int:
    assert isinstance(node, ast.stmt)
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _is_all(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "__all__" for one in node.targets)


def main(arguments: Sequence[str]) -> int:
    """Print the figures and write them beside those measured elsewhere; return 1 if one is missed."""
    before = read_results("structure") if RESULTS.joinpath("structure.json").exists() else {}
    known = before | figures()
    for record in map(Path, arguments):
        known["test_minutes"] = minutes_of(record)
    write_results("structure", known)
    print_table(known, REACHES)
    return int(bool(missed(known, REACHES)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
