"""Python's regular expressions, and what PostgreSQL makes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from obscore_view.config.regex import to_postgres
from tapdb.postgres.engine import create_engine


@pytest.fixture(scope="module")
def session(clone_for_session: Callable[[str], sa.URL], template_database: str) -> Iterator[sa.Connection]:
    """Return a connection that all tests here share: they only ask."""
    engine = create_engine(clone_for_session(template_database))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


_NAMES = [
    "LATISS/raw/all",
    "LATISS/runs/quickLook/2024",
    "a",
    "ab",
    "abc",
    "a.b",
    "",
    "u/x",
    "b1",
    "A",
    "aa",
    "a-b",
    "aab",
]
_PATTERNS = [
    *_NAMES,
    "LATISS/.*", ".*", "a|ab", "(a|ab)(c|b)?", "a{,2}", "a{2}", "[^/]+", r"\w\d", r"[\w.]+", r"\D+",
    r"[^\W]*", "a?b*?c??", r"(?P<x>a)(?P=x)b", r"(a)\1", r"\ba\b.*", r"a\b.*", r"(?i)A", "(?s)a.",
    "(?x) a b # text", r"a\.b", r"a[.\-]b", "[]a]b?", "a(?=b)b", "a(?!b).*", r".*(?<=b)", r".*(?<!b)",
    r"\Aa\Z", "^a$", "(?:a|b)+", "[a-c]+", r"\x61\u0062",
]  # fmt: skip


@pytest.mark.parametrize("pattern", _PATTERNS)
def test_a_pattern_matches_in_postgresql_what_it_matches_in_python(
    session: sa.Connection, pattern: str
) -> None:
    names = sa.values(sa.column("name", sa.Text), name="names").data([(name,) for name in _NAMES])
    matched = session.scalars(sa.select(names.c.name).where(names.c.name.regexp_match(to_postgres(pattern))))
    assert set(matched) == {name for name in _NAMES if re.fullmatch(pattern, name)}


_atoms = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a]", r"\d", r"\.", "a|b", r"\w"])
_regexes = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}", "*?", "{,1}"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
        inner.map("({})".format),
    ),
    max_leaves=6,
)


@given(pattern=_regexes, names=st.lists(st.text("ab/.1", max_size=6), min_size=1, max_size=10))
def test_any_pattern_matches_in_postgresql_what_it_matches_in_python(
    session: sa.Connection, pattern: str, names: list[str]
) -> None:
    translated = to_postgres(pattern)
    matches = session.execute(sa.select(*(sa.literal(name).regexp_match(translated) for name in names))).one()
    assert list(matches) == [re.fullmatch(pattern, name) is not None for name in names]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "no regular expression of Python: missing"),
        ("(?>a)", "nothing like Python's atomic group"),
        ("a*+", "nothing like Python's possessive repeat"),
        ("(a)?(?(1)b|c)", "nothing like Python's groupref exists"),
        ("(?i:a)b", r"no flags for a part"),
        ("(?m)^a$", "nothing like the flag re.MULTILINE"),
        (r"[\Wa]", r"no \\D, \\S or \\W beside"),
        ("a{300}", "repeats at most 255 times"),
        ("a{2,300}", "repeats at most 255 times"),
        ("a\\0", "no NUL character"),
    ],
)
def test_a_pattern_that_postgresql_cannot_express_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_postgres(pattern)


def test_a_plain_pattern_stays_readable() -> None:
    assert to_postgres("LATISS/runs/quickLook/202.*") == "^(?:LATISS/runs/quickLook/202.*)$"
