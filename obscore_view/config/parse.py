"""A configuration, read from YAML: where each key stands, what is checked, what is given besides."""

import difflib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from obscore_view.config.checks import Problem, find_problems, find_warnings
from obscore_view.config.model import ObsCoreConfig, Section
from obscore_view.errors import ConfigError, ConfigProblem
from tapdb.errors import likeliest

_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class YamlText:
    """A YAML document: its content, and the position of every part of it.

    Attributes
    ----------
    content
        The document as Python values.
    source
        Name of the file or other source of the text.
    root
        Node tree, for the positions.
    """

    content: Any
    source: str
    root: yaml.Node

    def problem(self, path: Sequence[str | int], problem: str, remedy: str = "") -> ConfigProblem:
        """Return a problem with the position of ``path``.

        Parameters
        ----------
        path
            Keys and list indices from the root. Where the text ends before the path does, as for a key that
            is missing, the position is that of the deepest part that exists.
        problem, remedy
            What is wrong, and what to do.
        """
        node, mark = self.root, self.root.start_mark
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            node, mark = found
        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        return ConfigProblem(
            problem, remedy, dotted.removeprefix("."), self.source, mark.line + 1, mark.column + 1
        )


def read_yaml(text: str, *, source: str) -> YamlText:
    """Return the one document in a YAML text.

    Raises
    ------
    ConfigError
        Raised if the text is no YAML, is empty, holds more than one document or a key twice.
    """
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigError([ConfigProblem("found no content", "write a configuration", source=source)])
        if repeated := list(_repeated_keys(root, source)):
            raise ConfigError(repeated)
        return YamlText(loader.construct_document(root), source, root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = "; ".join(part for part in (error.context, error.problem) if part)
        raise _unreadable(what, source, mark) from error
    except yaml.YAMLError as error:
        raise _unreadable(" ".join(str(error).split()), source, None) from error
    except ValueError as error:
        raise _unreadable(str(error), source, loader.mark if loader else None) from error
    finally:
        if loader:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """A safe loader that knows which value it was making when that failed, a month 13 for example."""

    mark: yaml.Mark | None = None

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        self.mark = node.start_mark
        return super().construct_object(node, deep=deep)


def _unreadable(what: str, source: str, mark: yaml.Mark | None) -> ConfigError:
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    remedy = "mend the YAML text; values with ': ', ' #' or a leading { [ * & ! % @ need quotes"
    return ConfigError([ConfigProblem(f"not YAML: {what}", remedy, "", source, line, column)])


def _repeated_keys(node: yaml.Node, source: str, path: str = "") -> Iterator[ConfigProblem]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated_keys(item, source, f"{path}[{index}]")
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            here = f"{path}.{key.value}".removeprefix(".")
            mark = key.start_mark
            if key.tag != _MERGE_TAG and key.value in lines:
                problem = f"key given twice, first in line {lines[key.value]}"
                yield ConfigProblem(problem, "keep one", here, source, mark.line + 1, mark.column + 1)
            lines.setdefault(str(key.value), mark.line + 1)
            yield from _repeated_keys(value, source, here)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Mark] | None:
    """Return a value within a node, and the position of its key (of the item itself in a list)."""
    if isinstance(node, yaml.SequenceNode):
        if isinstance(part, int) and 0 <= part < len(node.value):
            return node.value[part], node.value[part].start_mark
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag != _MERGE_TAG and key.value == part:
                return value, key.start_mark
        for key, value in node.value:
            if key.tag == _MERGE_TAG:
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for other in merged:
                    if (found := _child(other, part)) is not None:
                        return found
    return None


def with_options(text: str, **options: str | None) -> str:
    """Return a configuration's text with values in section ``tapdb``; the same text if none is given.

    What is recorded of a view is this text, with what the options took the place of: a refresh finds the
    options again, and so does a later configuration (`keep_options`). A change loses comments.

    Parameters
    ----------
    text
        YAML text of a configuration that can be read.
    options
        Values by key, such as ``geometry``; None leaves what the text says.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return text
    content = yaml.safe_load(text) or {}
    section = content.get("tapdb") or {}
    before = {name: section.get(name) for name in given}
    section["in_place_of"] = before | (section.get("in_place_of") or {})
    content["tapdb"] = {**section, **given}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def keep_options(text: str, recorded: str) -> str:
    """Return a configuration's text with the options that its view was made with.

    An option stays as long as the file says of its key what it said then. What is written there since is
    newer, and counts; so does an option that is in the text already.

    Parameters
    ----------
    text
        YAML text of the configuration that the view is to have.
    recorded
        YAML text that is recorded of the view.
    """
    now = (yaml.safe_load(text) or {}).get("tapdb") or {}
    then = (yaml.safe_load(recorded) or {}).get("tapdb") or {}
    kept = {
        name: then.get(name)
        for name, said in (then.get("in_place_of") or {}).items()
        if name not in (now.get("in_place_of") or {}) and now.get(name) == said
    }
    return with_options(text, **kept)


_LOG = logging.getLogger(__name__)


def read_config(path: Path | str) -> ObsCoreConfig:
    """Return the configuration in a YAML file.

    Raises
    ------
    ConfigError
        Raised if there is no such file, or if `parse_config` refuses what is in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        problem = ConfigProblem(
            f"cannot be read: {reason}", "name an ObsCore configuration", source=str(path)
        )
        raise ConfigError([problem]) from error
    return parse_config(text, source=str(path))


def parse_config(text: str, *, source: str = "configuration") -> ObsCoreConfig:
    """Return the configuration in a YAML (or JSON) text; doubtful parts of it go to the log as warnings.

    Parameters
    ----------
    text
        The text.
    source
        Name of the text for messages, such as a file's.

    Raises
    ------
    ConfigError
        Raised with all that is wrong in the text, each with its line and column and what to do.
    """
    yaml = read_yaml(text, source=source)
    try:
        config = ObsCoreConfig.model_validate(yaml.content)
    except ValidationError as error:
        raise ConfigError([yaml.problem(*finding) for finding in explain(error, ObsCoreConfig)]) from error
    if problems := [yaml.problem(*finding) for finding in find_problems(config)]:
        raise ConfigError(problems)
    for finding in find_warnings(config):
        _LOG.warning("%s", yaml.problem(*finding))
    return config


_MISSING = "required, but missing"
_UNKNOWN = "unknown key"
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "date_type": "a date, YYYY-MM-DD",
    "date_from_datetime_parsing": "a date, YYYY-MM-DD",
    "datetime_type": "a date or time, YYYY-MM-DDThh:mm:ss",
    "datetime_from_date_parsing": "a date or time, YYYY-MM-DDThh:mm:ss",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "union_tag_not_found": "a constant or a mapping with a template",
}
_WIDTH = 60
_NAMES = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    bool: "a truth value",
    int: "a number",
    float: "a number",
}


def explain(error: ValidationError, model: type[Section]) -> list[Problem]:
    """Return what is wrong with the input of a model, each with its path and a remedy."""
    findings: list[Problem] = []
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if not str(part).startswith("("))
        finding = (path, *_words(detail, path, model))
        # The branches of a union each complain about the same value.
        if not any(path == other[0] for other in findings):
            findings.append(finding)
    mistyped = {(*path[:-1], advice) for path, problem, advice in findings if problem == _UNKNOWN}
    return [
        finding
        for finding in findings
        if finding[1] != _MISSING or (*finding[0][:-1], _meant(str(finding[0][-1]))) not in mistyped
    ]


def _meant(name: str) -> str:
    return f'did you mean "{name}"?'


def _words(detail: ErrorDetails, path: Sequence[str | int], model: type[Section]) -> tuple[str, str]:
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return _MISSING, f"add it: {_describe(path, model)}"
    if kind == "extra_forbidden":
        return _UNKNOWN, _advise_key(str(path[-1]), _section_at(path[:-1], model), model)
    expected = _EXPECTED.get(kind)
    if kind in {"enum", "literal_error"}:
        expected = str(detail["ctx"]["expected"])
    elif kind == "value_error":
        expected = str(detail["ctx"]["error"])
    elif kind in {"too_short", "too_long", "missing_argument"}:
        expected = f"a list of {detail['ctx'].get('min_length', detail['ctx'].get('max_length'))}"
    remedy = "put it in quotes" if expected == "text" and isinstance(value, int | float) else ""
    return f"found {_show(value)}, expected {expected or detail['msg']}", remedy


def _advise_key(key: str, section: type[Section], root: type[Section]) -> str:
    known = section.model_fields
    if difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return likeliest(key, known)
    if key in root.model_fields:
        return "move it to the top level"
    for place, field in root.model_fields.items() if section is root else ():
        inner = _section_in(field.annotation)
        if inner is not None and key in inner.model_fields:
            return f"move it into {place}"
    return likeliest(key, known)


def _section_at(path: Sequence[str | int], root: type[Section]) -> type[Section]:
    """Return the section that a path leads into; names of dataset types and the like are passed over."""
    section = root
    named: type[Section] | None = None
    for part in path:
        if named is not None:
            section, named = named, None
        elif part in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            if (inner := _section_in(annotation)) is None:
                continue
            if _is_mapping(annotation):
                named = inner
            else:
                section = inner
    return section


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))


def _describe(path: Sequence[str | int], root: type[Section]) -> str:
    field = _section_at(path[:-1], root).model_fields.get(str(path[-1]))
    return " ".join((field.description if field and field.description else "it has no default").split())


def _show(value: object) -> str:
    """Return a value as a user of YAML would speak of it."""
    if value is None:
        return "nothing"
    text = json.dumps(value, default=str)
    return f"{_NAMES.get(type(value), 'a value')} {text if len(text) <= _WIDTH else f'{text[:_WIDTH]}...'}"
