"""Format strings of an ObsCore configuration, taken apart: what is constant, what comes from the registry.

Butler fills these strings with `str.format`. The keys are dimensions (``{visit}``), fields of dimension
records (``{records[visit].timespan.begin.utc.isot}``), ``{id}``, ``{run}``, ``{dataset_type}``, and ObsCore
columns that are already known (``{dataproduct_type}``, ``{obs_id}``).
"""

import re
from dataclasses import dataclass

from obscore_view.errors import TemplateError

GENERIC_COLUMNS = frozenset(
    {
        "dataproduct_type",
        "dataproduct_subtype",
        "o_ucd",
        "calib_level",
        "obs_collection",
        "access_format",
        "s_xel1",
        "s_xel2",
        "obs_id",
    }
)
"""ObsCore columns that a format string can refer to; ``obs_id`` everywhere but in ``obs_id_fmt``."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STEP = re.compile(r"\.([^.\[]+)|\[([^\]]+)\]")
_SPEC = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>=^]))?(?P<sign>[-+ ])?(?P<alternate>#)?(?P<zero>0)?(?P<width>[0-9]+)?"
    r"(?P<grouping>[_,])?(?:\.(?P<precision>[0-9]+))?(?P<type>[bcdeEfFgGnosxX%])?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A step ``.name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """A step ``[key]``; a key of digits alone is a number, as in Python."""

    key: str | int


@dataclass(frozen=True, slots=True)
class DimensionKey:
    """A value of the data ID, such as ``visit`` or ``band``; it may be one that the dimensions imply."""

    name: str


@dataclass(frozen=True, slots=True)
class RecordField:
    """A field of a dimension record, and what is taken of it, as ``("timespan", "begin", "utc", "isot")``."""

    element: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EarlierColumn:
    """An ObsCore column that is set before, one of `GENERIC_COLUMNS`."""

    name: str


@dataclass(frozen=True, slots=True)
class DatasetId:
    """UUID of the dataset."""


@dataclass(frozen=True, slots=True)
class RunName:
    """Name of the dataset's RUN collection."""


@dataclass(frozen=True, slots=True)
class DatasetTypeName:
    """Name of the dataset type."""


Reference = DimensionKey | RecordField | EarlierColumn | DatasetId | RunName | DatasetTypeName


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """What stands behind the colon (``text``, never empty), in Python's format mini-language."""

    text: str
    fill: str | None = None
    align: str | None = None
    sign: str | None = None
    alternate: bool = False
    zero: bool = False
    width: int | None = None
    grouping: str | None = None
    precision: int | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that is taken as it stands, with ``{{`` and ``}}`` already undone."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplacementField:
    """A replacement field.

    Attributes
    ----------
    reference
        What it stands for.
    steps
        Attributes and indices that are taken of it, but for those of records, which are in the reference.
    conversion
        ``r``, ``s`` or ``a``, or None.
    spec
        How it is formatted, or None for `str`.
    position
        Where it stands in the format string, characters from 0.
    """

    reference: Reference
    steps: tuple[Attribute | Index, ...] = ()
    conversion: str | None = None
    spec: FormatSpec | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """A format string and its parts, with no two literals side by side."""

    text: str
    parts: tuple[Literal | ReplacementField, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the string refers to, in order, each once."""
        return tuple(
            dict.fromkeys(part.reference for part in self.parts if isinstance(part, ReplacementField))
        )


def parse_template(text: str) -> Template:
    """Return a format string taken apart.

    Raises
    ------
    TemplateError
        Raised if `str.format` could not read it, or if it has something that no configuration can mean:
        fields without name, fields within format specifications.
    """
    parts: list[Literal | ReplacementField] = []
    literal: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character in "{}" and text[position : position + 2] == 2 * character:
            literal.append(character)
            position += 2
        elif character == "{":
            if literal:
                parts.append(Literal("".join(literal)))
                literal.clear()
            end = _closing_brace(text, position)
            parts.append(_field(text, position, text[position + 1 : end]))
            position = end + 1
        elif character == "}":
            raise TemplateError(text, position, "found a single }", "write }} for a brace in the result")
        else:
            literal.append(character)
            position += 1
    if literal:
        parts.append(Literal("".join(literal)))
    return Template(text, tuple(parts))


def _closing_brace(text: str, start: int) -> int:
    for position in range(start + 1, len(text)):
        if text[position] == "}":
            return position
        if text[position] == "{":
            raise TemplateError(
                text, position, "found a { within a field", "close the field before it with }"
            )
    raise TemplateError(text, start, "found a { without }", "write {{ for a brace in the result")


def _field(text: str, start: int, content: str) -> ReplacementField:
    # Neither ! nor : can be part of a key or an attribute here, so the first of them ends the name.
    name = re.split("[!:]", content, maxsplit=1)[0]
    rest = content[len(name) :]
    conversion = None
    if rest.startswith("!"):
        conversion, rest = rest[1:2], rest[2:]
        if conversion not in {"r", "s", "a"} or (rest and not rest.startswith(":")):
            raise TemplateError(
                text, start, f'found the conversion "!{conversion}"', "write !s, !r or !a, or leave it out"
            )
    key = _NAME.match(name)
    if key is None:
        problem = (
            f'found "{{{content}}}", a field without a name' if not name else f'found the field "{name}"'
        )
        raise TemplateError(
            text, start, problem, "write the name of a dimension, column or record, as {visit}"
        )
    steps = _steps(text, start + 1 + key.end(), name[key.end() :])
    reference, steps = _resolve(text, start, key[0], steps)
    return ReplacementField(reference, steps, conversion, _spec(text, start, rest[1:]), start)


def _steps(text: str, position: int, path: str) -> tuple[Attribute | Index, ...]:
    steps: list[Attribute | Index] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise TemplateError(
                text, position + at, f'found "{path[at:]}"', "write .name or [key] behind a name"
            )
        if found[1] is not None:
            steps.append(Attribute(found[1]))
        else:
            steps.append(Index(int(found[2]) if found[2].isdecimal() else found[2]))
        at = found.end()
    return tuple(steps)


def _resolve(
    text: str, start: int, key: str, steps: tuple[Attribute | Index, ...]
) -> tuple[Reference, tuple[Attribute | Index, ...]]:
    match key:
        case "records":
            names = tuple(step.name for step in steps[1:] if isinstance(step, Attribute))
            if not steps or not isinstance(steps[0], Index) or not names or len(names) != len(steps) - 1:
                problem = "found records that are not taken as records[element].field"
                raise TemplateError(text, start, problem, "write, for example, {records[visit].name}")
            return RecordField(str(steps[0].key), names), ()
        case "id":
            return DatasetId(), steps
        case "run":
            return RunName(), steps
        case "dataset_type":
            return DatasetTypeName(), steps
        case _:
            return EarlierColumn(key) if key in GENERIC_COLUMNS else DimensionKey(key), steps


def _spec(text: str, start: int, spec: str) -> FormatSpec | None:
    if not spec:
        return None
    found = _SPEC.fullmatch(spec)
    if found is None:
        raise TemplateError(
            text, start, f'found the format ":{spec}"', "write one of Python's, as :d, :03d, :>8 or :.3f"
        )
    width, precision = found["width"], found["precision"]
    return FormatSpec(
        text=spec,
        fill=found["fill"],
        align=found["align"],
        sign=found["sign"],
        alternate=found["alternate"] is not None,
        zero=found["zero"] is not None,
        width=None if width is None else int(width),
        grouping=found["grouping"],
        precision=None if precision is None else int(precision),
        type=found["type"],
    )
