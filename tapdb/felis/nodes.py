"""YAML text as nodes that know their lines: libyaml composes them in a fraction of a second for 3 MB."""

import importlib.resources
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tapdb.errors import DescriptionError, DescriptionProblem, Place
from tapdb.xml_text import NOT_IN_XML

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOURCE = "resource://"
_TAG = "tag:yaml.org,2002:"
_CONSTRUCT: dict[str, Callable[[str], Any]] = {
    f"{_TAG}int": lambda text: int(text.replace("_", ""), 0),
    f"{_TAG}float": lambda text: float(text.replace("_", "")),
    f"{_TAG}bool": lambda text: text.lower() in {"true", "yes", "on"},
    f"{_TAG}null": lambda _: None,
}
_STR, _MERGE = f"{_TAG}str", f"{_TAG}merge"
ALIASES = {
    "id": "@id",
    "type": "@type",
    "ivoa_ucd": "ivoa:ucd",
    "ivoa_unit": "ivoa:unit",
    "fits_tunit": "fits:tunit",
    "tap_column_index": "tap:column_index",
    "tap_principal": "tap:principal",
    "tap_std": "tap:std",
    "tap_table_index": "tap:table_index",
    "votable_arraysize": "votable:arraysize",
    "votable_datatype": "votable:datatype",
    "votable_utype": "votable:utype",
    "votable_xtype": "votable:xtype",
    "mysql_datatype": "mysql:datatype",
    "mysql_engine": "mysql:engine",
    "mysql_charset": "mysql:charset",
    "postgresql_datatype": "postgresql:datatype",
    "primary_key": "primaryKey",
    "column_refs": "columnRefs",
    "column_groups": "columnGroups",
    "referenced_columns": "referencedColumns",
}
"""Names that Felis' own model has for keys of its files, which it takes too."""

_ESCAPE = re.compile(rb"\\[0abevxuU]")
_LONGEST, _DEEPEST = 40, 8

LARGEST = 2**31 - 1
"""Largest integer of PostgreSQL."""


@dataclass(frozen=True, slots=True)
class YamlMapping:
    """A mapping of scalars, and lists or mappings as nodes.

    Attributes
    ----------
    line
        Line of its first key, from 1.
    values
        Values by key: Python values of scalars, nodes of all else.
    """

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """One YAML file while it is read.

    Attributes
    ----------
    uri
        Where it was read from.
    root
        Node of the document.
    problems
        What was found to be wrong so far.
    notes
        What was found and does not matter to us: keys that a newer Felis may have.
    is_felis
        Whether keys may have the names that Felis' own model has for them, and be unknown.
    """

    uri: str
    root: yaml.Node
    problems: list[DescriptionProblem] = field(default_factory=list)
    notes: list[DescriptionProblem] = field(default_factory=list)
    is_felis: bool = False

    def place(self, line: int) -> Place:
        """Return the place of a line."""
        return Place(self.uri, line)

    def problem(self, line: int, what: str, problem: str, remedy: str = "") -> None:
        """Note that something is wrong."""
        self.problems.append(DescriptionProblem(Place(self.uri, line), what, problem, remedy))

    def mapping(
        self, node: Any, what: str, known: frozenset[str] | None, *, strict: bool = False
    ) -> YamlMapping:
        """Return a mapping; keys that are repeated or not ``known`` are problems.

        In Felis a key that is not known is noted, unless this is ``strict``: a newer one may have it.
        """
        if not isinstance(node, yaml.MappingNode):
            line = line_of(node)
            if not (isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"):
                self.problem(line, what, "found no mapping of names to values here")
            return YamlMapping(line, {})
        values: dict[str, Any] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                merged += _merged(value, (node,))
            elif self._name(key, what, known, values, strict=strict) is not None:
                self._take(key, value, known, values)
        for key, value in merged:
            # What stands here itself goes first, then what is merged first.
            if isinstance(key.value, str) and self._key(key.value, known) not in values:
                self._name(key, what, known, values, strict=strict)
                self._take(key, value, known, values)
        return YamlMapping(node.start_mark.line + 1, values)

    def _key(self, name: str, known: frozenset[str] | None) -> str:
        return ALIASES.get(name, name) if self.is_felis and known is not None else name

    def _name(
        self, key: yaml.Node, what: str, known: frozenset[str] | None, values: dict[str, Any], *, strict: bool
    ) -> str | None:
        """Return the name in a key, `None` if it is not a name; the problem is noted."""
        line = key.start_mark.line + 1
        if not isinstance(key.value, str):
            self.problem(line, what, "found no name before the colon here")
            return None
        name = self._key(key.value, known)
        if name in values:
            self.problem(line, what, f"{name} stands here twice", "keep one of them")
        elif known is not None and name not in known:
            if self.is_felis and not strict:
                found = f"{name} is no key of Felis that is known here"
                self.notes.append(
                    DescriptionProblem(self.place(line), what, found, "check its spelling; it is left out")
                )
            else:
                self.problem(
                    line,
                    what,
                    f"{name} is no key of {'Felis' if self.is_felis else 'ours'}",
                    "check its spelling",
                )
        return name

    def _take(
        self, key: yaml.Node, value: yaml.Node, known: frozenset[str] | None, values: dict[str, Any]
    ) -> None:
        values[self._key(key.value, known)] = value.value.strip() if value.tag == _STR else scalar(value)

    def text(self, values: YamlMapping, key: str, what: str) -> str | None:
        """Return a text of a mapping, `None` if it is empty or missing; what is no text is a problem."""
        value = values.values.get(key)
        if value is not None and not isinstance(value, str):
            self.problem(values.line, what, f"{key} is {shown(value)}", "write a text, in quotes if need be")
            return None
        return value or None

    def number(self, values: YamlMapping, key: str, what: str) -> int | None:
        """Return a whole number of a mapping, `None` if it is missing; anything else is a problem."""
        value = values.values.get(key)
        if value is None or is_whole(value):
            return value
        self.problem(values.line, what, f"{key} is {shown(value)}", f"write a whole number up to {LARGEST}")
        return None

    def sequence(self, node: Any, what: str) -> list[yaml.Node]:
        """Return the nodes of a list; None and what is missing are empty."""
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode):
            found: list[yaml.Node] = node.value
            return found
        self.problem(line_of(node), what, "found no list here")
        return []


def _merged(node: yaml.Node, outer: tuple[yaml.Node, ...]) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values that a merge key of YAML brings, nothing for what contains itself."""
    if node in outer or len(outer) > _DEEPEST:
        return []
    if isinstance(node, yaml.SequenceNode):
        return [pair for one in node.value for pair in _merged(one, (*outer, node))]
    if not isinstance(node, yaml.MappingNode):
        return []
    own = [pair for pair in node.value if pair[0].tag != _MERGE]
    more = [value for key, value in node.value if key.tag == _MERGE]
    return own + [pair for value in more for pair in _merged(value, (*outer, node))]


def scalar(node: Any) -> Any:
    """Return the value of a scalar node, and any other node as it is."""
    if not isinstance(node, yaml.ScalarNode):
        return node
    construct = _CONSTRUCT.get(node.tag)
    if construct is None:
        return node.value.strip()
    try:
        return construct(node.value)
    except ValueError:
        # Such as 1:30, a number in base 60 for YAML: nothing in Felis wants it.
        return node.value


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number that an integer of PostgreSQL holds."""
    return isinstance(value, int) and abs(value) <= LARGEST


def shown(value: Any) -> str:
    """Return a value for a message, cut if it is long."""
    if isinstance(value, yaml.Node):
        return "a list or a mapping"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def line_of(node: Any) -> int:
    """Return the line of a node, from 1; 0 for other objects."""
    return node.start_mark.line + 1 if isinstance(node, yaml.Node) else 0


def read_yaml_file(uri: str) -> YamlFile:
    """Return the one document in a YAML file.

    Parameters
    ----------
    uri
        Path, or ``resource://package/path``.

    Raises
    ------
    DescriptionError
        Raised if it cannot be read, is no YAML or holds more than one document.
    """
    try:
        text = _read(uri)
    except (OSError, ImportError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DescriptionError(
            [DescriptionProblem(Place(uri), "", f"cannot be read: {reason}", "check the name")]
        ) from error
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        place = Place(uri, mark.line + 1 if mark is not None else 0)
        raise DescriptionError([DescriptionProblem(place, "", f"is no YAML: {problem}")]) from error
    if not isinstance(root, yaml.MappingNode):
        raise DescriptionError([DescriptionProblem(Place(uri), "", "holds no mapping of names to values")])
    # YAML lets such characters in as escapes alone.
    odd = list(_odd_characters(root)) if _ESCAPE.search(text) is not None else []
    problems = [
        DescriptionProblem(
            Place(uri, line), "", f"holds the character U+{code:04X}, which XML cannot", "take it out"
        )
        for line, code in odd
    ]
    return YamlFile(uri, root, problems)


def _odd_characters(root: yaml.Node) -> Iterator[tuple[int, int]]:
    """Yield lines and codes of characters in the values of a document that no XML may hold."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield from ((line_of(node), ord(one)) for one in NOT_IN_XML.findall(node.value))
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += (part for pair in node.value for part in pair)


def join_uri(base: str, uri: str) -> str:
    """Return a URI that may be relative to the file in which it stands."""
    if "://" in uri or Path(uri).is_absolute():
        return uri
    if base.startswith(_RESOURCE):
        return f"{_RESOURCE}{PurePosixPath(base.removeprefix(_RESOURCE)).parent / uri}"
    return str(Path(base).parent / uri)


def _read(uri: str) -> bytes:
    if uri.startswith(_RESOURCE):
        package, _, path = uri.removeprefix(_RESOURCE).partition("/")
        return importlib.resources.files(package).joinpath(path).read_bytes()
    if "://" in uri:
        raise ValueError("only paths and resource://package/path are known")
    return Path(uri).read_bytes()
