"""Names in TAP_SCHEMA: spelled as a query has to write them (TAP 1.1 section 4, ADQL 2.1 §2.1.4)."""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from adql.names import identifier_of


@lru_cache(maxsize=32_768)
def published_name(name: str) -> str:
    """Return a name as a query has to write it: in double quotes if it is no regular identifier of ADQL.

    Examples
    --------
    >>> published_name("diaObjectId"), published_name("size"), published_name("a b")
    ('diaObjectId', '"size"', '"a b"')
    """
    return _delimited(name) if identifier_of(name).quoted else name


def published_names(names: Iterable[str]) -> dict[str, str]:
    """Return the published names of columns of one table, or of tables of one schema, by their own.

    Names that differ in case alone are all delimited: without quotes they would be one.
    """
    names = tuple(names)
    count = Counter(name.lower() for name in names)
    return {name: published_name(name) if count[name.lower()] == 1 else _delimited(name) for name in names}


def matched_names(described: Iterable[str], existing: Iterable[str]) -> dict[str, str]:
    """Return the name under which each thing that exists is described, if it is.

    Case does not matter, unless there are two things whose names differ in nothing else.

    Examples
    --------
    >>> matched_names(["Star", "flux"], ["star", "Flux", "flux"])
    {'flux': 'flux', 'star': 'Star'}
    """
    existing = tuple(existing)
    exact = frozenset(described)
    found = {name: name for name in existing if name in exact}
    if len(found) == len(existing):
        return found
    # Of two names that a description has, a third spelling in the database is that of neither.
    spellings = Counter(name.lower() for name in exact)
    folded = {name.lower(): name for name in exact if spellings[name.lower()] == 1}
    count = Counter(name.lower() for name in existing)
    for name in existing:
        key = name.lower()
        if name not in exact and count[key] == 1 and key in folded:
            found[name] = folded[key]
    return found


def _delimited(name: str) -> str:
    return f'"{name.replace(chr(34), chr(34) * 2)}"'
