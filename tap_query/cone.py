"""A cone search (REC-Simple Cone Search-1.03) as ADQL over a table that has a position.

Pure: parameters and columns in, the text of a query out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from tap_query.errors import SearchParameterError

STANDARD = "ivo://ivoa.net/std/ConeSearch"
"""Identifier of the standard."""

_POSITION = (("pos.eq.ra", "meta.main"), ("pos.eq.dec", "meta.main"))
_IDENTIFIER = ("meta.id", "meta.main")
# Section 2.2 has one column with each of these words of UCD1, and clients look for them.
_OLD_UCDS = ("POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN", "ID_MAIN")
_RANGES = {"RA": (0.0, 360.0), "DEC": (-90.0, 90.0), "SR": (0.0, 180.0)}
# What is nearer to zero would be no number any more in radians, which is an error.
_SMALLEST = 1e-300
_FEW, _SOME, _ALL = "1", "2", "3"
_MOST_KEYS, _MOST_SHOWN = 6, 60


class PublishedColumn(Protocol):
    """What a search has to know of a column."""

    @property
    def column_name(self) -> str:
        """Name, as a query writes it."""

    @property
    def ucd(self) -> str | None:
        """UCD1+ words."""

    @property
    def unit(self) -> str | None:
        """Unit."""

    @property
    def principal(self) -> int:
        """Whether it is shown by default."""

    @property
    def indexed(self) -> int:
        """Whether an index has it."""


@dataclass(frozen=True, slots=True)
class ConeTable:
    """A table in which cones can be searched.

    Attributes
    ----------
    name
        Its name, as a query writes it.
    columns
        Names of its columns.
    principal
        Names of those that are shown by default.
    longitude, latitude
        Columns of the main position, in degrees.
    identifier
        Column of the main identifier; None if it has none.
    keys
        Columns that tell rows from each other, the main identifier first.
    """

    name: str
    columns: Sequence[str]
    principal: Sequence[str]
    longitude: str
    latitude: str
    identifier: str | None
    keys: Sequence[str] = ()

    @classmethod
    def of(cls, name: str, columns: Iterable[PublishedColumn]) -> Self | None:
        """Return a table by its columns; None for one without a main position.

        Where no UCD says which position is the main one, it is the only one that has an index: the tables of
        a PPDB are described so. The same holds for identifiers, of which the first counts.
        """
        given = list(columns)
        places = [_main(given, words, unit="deg") for words in _POSITION]
        if len(places[0]) != 1 or len(places[1]) != 1:
            return None
        identifiers = _main(given, _IDENTIFIER)
        others = [one.column_name for one in given if _words(one)[:1] == [_IDENTIFIER[0]]]
        every = [one.column_name for one in given]
        return cls(
            name,
            every,
            [one.column_name for one in given if one.principal] or every,
            places[0][0],
            places[1][0],
            identifiers[0] if identifiers else None,
            list(dict.fromkeys([*identifiers[:1], *others]))[:_MOST_KEYS],
        )

    @property
    def main(self) -> Sequence[str]:
        """Columns that a result has in any case (section 2.2)."""
        return [name for name in (self.identifier, self.longitude, self.latitude) if name is not None]

    @property
    def ucds(self) -> Mapping[str, str]:
        """UCDs of these columns that the standard wants, by their names without quotes."""
        known = zip((self.longitude, self.latitude, self.identifier), _OLD_UCDS, strict=True)
        return {_plain(name): ucd for name, ucd in known if name is not None}


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle of the sky, in degrees, and how much of its objects is wanted.

    Attributes
    ----------
    longitude, latitude, radius
        The circle; with radius 0 no rows are wanted, but what the columns are (section 2.1).
    verbosity
        1, 2 or 3: of the columns the main ones, those that are shown by default, or all.
    """

    longitude: float
    latitude: float
    radius: float
    verbosity: str = _SOME

    @classmethod
    def parse(cls, parameters: Mapping[str, Sequence[str]]) -> Self:
        """Return the cone that parameters ask for.

        Parameters
        ----------
        parameters
            Values by name in capitals; those of other names are ignored.

        Raises
        ------
        SearchParameterError
            Raised if one is missing, given several times, or cannot be used.
        """
        longitude, latitude, radius = (_number(name, _one(name, parameters)) for name in _RANGES)
        verbosity = (_one("VERB", parameters) or _SOME).strip()
        if verbosity not in (_FEW, _SOME, _ALL):
            raise SearchParameterError("VERB", _shown(verbosity), "write 1, 2 or 3")
        return cls(longitude, latitude, radius, verbosity)

    def query(self, table: ConeTable) -> str:
        """Return the search as ADQL: what is nearest comes first."""
        wanted = {_FEW: (), _SOME: table.principal, _ALL: table.columns}[self.verbosity]
        columns = [name for name in table.columns if name in wanted or name in table.main]
        place = f"POINT({table.longitude}, {table.latitude})"
        centre = f"{self.longitude!r}, {self.latitude!r}"
        inside = f"CONTAINS({place}, CIRCLE({centre}, {self.radius!r})) = 1"
        parts = ["SELECT", ", ".join(columns), "FROM", table.name, "WHERE", inside]
        if self.radius > 0:
            order = (f"DISTANCE({place}, POINT({centre}))", *table.keys)
            parts += ("ORDER BY", ", ".join(order))
        return " ".join(parts)


def _main(columns: Iterable[PublishedColumn], words: Sequence[str], unit: str | None = None) -> Sequence[str]:
    """Return the first column whose UCD calls it the main one of its kind; without one, all with an index.

    Of positions, only those count then whose UCD has no more words, such as those of an ephemeris have.
    """
    kind = [one for one in columns if _words(one)[:1] == [words[0]] and unit in (None, one.unit)]
    main = [one.column_name for one in kind if words[1] in _words(one)]
    return main[:1] or [
        one.column_name for one in kind if one.indexed and (unit is None or len(_words(one)) == 1)
    ]


def _words(column: PublishedColumn) -> Sequence[str]:
    return [word.strip().lower() for word in (column.ucd or "").split(";")]


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _one(name: str, parameters: Mapping[str, Sequence[str]]) -> str | None:
    found = [value for value in parameters.get(name, ()) if value.strip()]
    if len(found) > 1:
        raise SearchParameterError(name, f"is there {len(found)} times", "give it once")
    return found[0] if found else None


def _number(name: str, text: str | None) -> float:
    least, most = _RANGES[name]
    remedy = f"write a number of degrees from {least:g} to {most:g}"
    if text is None:
        raise SearchParameterError(name, "is missing", remedy)
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise SearchParameterError(name, _shown(text), remedy)
    return math.copysign(_SMALLEST, number) if 0 < abs(number) < _SMALLEST else number


def _shown(text: str) -> str:
    return f"is {(text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + '...')!a}"
