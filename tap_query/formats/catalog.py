"""The formats of results: names, MIME types, and which one a request means."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tapdb.errors import TapdbError

Writer = Literal["binary2", "tabledata", "csv", "tsv", "json", "parquet", "arrow", "fits"]


class UnknownFormatError(TapdbError):
    """A result is wanted in a format that there is not.

    Parameters
    ----------
    wanted
        The format as it was requested.
    """

    exit_code = 2

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        known = ", ".join(f"{one.name} ({one.content_type})" for one in FORMATS)
        shown = wanted if len(wanted) <= _LONGEST_SHOWN else f"{wanted[:_LONGEST_SHOWN]}..."
        super().__init__(f"there is no format {shown!r} of results; there are {known}")


_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of results.

    Attributes
    ----------
    name
        Short name, by which commands call it.
    writer
        What writes it.
    mime_types
        MIME types that mean it, the first is the Content-Type of an answer.
    aliases
        Further short names (DALI 1.1 section 3.4.3).
    ivo_id
        Identifier in TAPRegExt; `None` if it has none.
    extension
        End of the name of a file.
    """

    name: str
    writer: Writer
    mime_types: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    ivo_id: str | None = None
    extension: str

    @property
    def content_type(self) -> str:
        """MIME type of an answer."""
        return self.mime_types[0]

    @property
    def can_say_errors(self) -> bool:
        """Whether a document that has begun can say that it ends with an error."""
        return self.writer in {"binary2", "tabledata", "json"}


_VOTABLE = "application/x-votable+xml"
_TAPREGEXT = "ivo://ivoa.net/std/TAPRegExt#output-votable"

FORMATS = (
    Format(
        name="votable/b2",
        writer="binary2",
        mime_types=(_VOTABLE, f"{_VOTABLE};serialization=BINARY2", "text/xml", "application/xml"),
        aliases=("votable", "binary2"),
        ivo_id=f"{_TAPREGEXT}-binary2",
        extension="vot",
    ),
    Format(
        name="votable/td",
        writer="tabledata",
        mime_types=(
            f"{_VOTABLE};serialization=TABLEDATA",
            "text/xml;serialization=TABLEDATA",
            "application/xml;serialization=TABLEDATA",
        ),
        aliases=("tabledata",),
        ivo_id=f"{_TAPREGEXT}-td",
        extension="vot",
    ),
    Format(
        name="csv",
        writer="csv",
        mime_types=("text/csv;header=present", "text/csv"),
        extension="csv",
    ),
    Format(
        name="tsv",
        writer="tsv",
        mime_types=("text/tab-separated-values",),
        extension="tsv",
    ),
    Format(name="json", writer="json", mime_types=("application/json",), extension="json"),
    Format(
        name="parquet",
        writer="parquet",
        mime_types=("application/vnd.apache.parquet", "application/x-parquet", "application/parquet"),
        aliases=("voparquet",),
        extension="parquet",
    ),
    Format(
        name="arrow",
        writer="arrow",
        mime_types=("application/vnd.apache.arrow.stream",),
        extension="arrows",
    ),
    Format(
        name="fits",
        writer="fits",
        mime_types=("application/fits", "image/fits"),
        extension="fits",
    ),
)
"""All formats, in the order of capabilities; the first one is the default."""


def find_format(text: str | None) -> Format:
    """Return the format that a request means.

    Parameters
    ----------
    text
        Value of RESPONSEFORMAT: a short name or a MIME type, in any case, with or without parameters; nothing
        means the default.

    Raises
    ------
    UnknownFormatError
        Raised if there is no such format.
    """
    if text is None or not text.strip():
        return FORMATS[0]
    found = _BY_NAME.get(_normal(text))
    if found is None:
        raise UnknownFormatError(text)
    return found


# Parameters that say what every answer is.
_IMPLIED = {"charset=utf-8", "version=1.4"}


def _normal(text: str) -> str:
    """Return a MIME type in one spelling: small letters, parameters sorted, without blanks and quotes."""
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    told = {"=".join(side.strip().strip('"') for side in one.split("=", 1)) for one in parameters}
    return ";".join((kind, *sorted(told - _IMPLIED - {""})))


def _names() -> Iterator[tuple[str, Format]]:
    for one in FORMATS:
        for name in (one.name, *one.aliases, *one.mime_types):
            yield _normal(name), one


_BY_NAME = dict(_names())
