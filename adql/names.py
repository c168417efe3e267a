"""Names: as a service publishes them, and as a query writes them."""

import re
from dataclasses import dataclass
from functools import lru_cache

from adql.words import RESERVED_WORDS

_REGULAR = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_.-]")
_FIRST_OF_ID = re.compile(r"[A-Za-z_]")


@dataclass(frozen=True, slots=True)
class Identifier:
    """A name; `quoted` if it was written in double quotes and so keeps its case and its characters."""

    text: str
    quoted: bool = False


@lru_cache(maxsize=32_768)
def identifier_of(name: str) -> Identifier:
    """Return a published name as it has to be written in a query, in double quotes if it needs them."""
    return Identifier(name, quoted=not _REGULAR.fullmatch(name) or name.upper() in RESERVED_WORDS)


def names_match(written: tuple[Identifier, ...], published: tuple[str, ...]) -> bool:
    """Return whether a name in a query means a published one; parts left out at the front do not matter."""
    if len(written) > len(published):
        return False
    return all(
        name.text == full if name.quoted else name.text.lower() == full.lower()
        for name, full in zip(reversed(written), reversed(published), strict=False)
    )


def same_name(one: Identifier, other: Identifier) -> bool:
    """Return whether two names in a query are the same; case counts if both are delimited."""
    if one.quoted and other.quoted:
        return one.text == other.text
    return one.text.lower() == other.text.lower()


def split_name(name: str) -> tuple[str, ...]:
    """Return the parts of a name in TAP_SCHEMA, without their double quotes.

    Examples
    --------
    >>> split_name('dp1."Object"')
    ('dp1', 'Object')
    """
    if '"' not in name:
        # Most names are plain, and there are tens of thousands.
        plain = name.strip()
        return tuple(plain.removesuffix(".").split(".")) if plain else ()
    parts = []
    rest = name.strip()
    while rest:
        if rest.startswith('"'):
            end = 1
            while (end := rest.find('"', end)) != -1 and rest[end + 1 : end + 2] == '"':
                end += 2
            end = len(rest) if end == -1 else end
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :].removeprefix(".")
        else:
            part, _, rest = rest.partition(".")
            parts.append(part)
    return tuple(parts)


def column_id(table_name: str, column_name: str) -> str:
    """Return the ID that a column has as FIELD of a VOTable, to which DataLink descriptors refer.

    It is a name of XML: letters, digits and a few others, a letter or an underscore first. The view
    ``tap_schema.columns11`` computes the same.

    Examples
    --------
    >>> column_id('dp1."Object"', "objectId")
    'dp1_Object_objectId'
    """
    plain = f"{table_name.replace('.', '_')}_{column_name}".replace('"', "")
    identifier = _NOT_IN_ID.sub("_", plain)
    return identifier if _FIRST_OF_ID.match(identifier) else f"_{identifier}"
