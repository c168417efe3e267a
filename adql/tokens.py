"""Text to tokens, in one pass of one regular expression that drops and repairs nothing; and advice on one.

A token is two strings: what was written, and its kind. Kinds are the sign or the reserved word itself (in
upper case), or `NAME`, `QUOTED`, `NUMBER`, `STRING`, `END` and `BAD`. Positions are found again when an
error needs one.
"""

import re
from dataclasses import dataclass
from itertools import islice

from adql.errors import AdqlError, AdqlLimitError, AdqlSyntaxError
from adql.limits import Limits
from adql.words import AGGREGATES, FUNCTION_WORDS, RESERVED_WORDS, STRUCTURE_WORDS
from tapdb.errors import did_you_mean

NAME = "name"
QUOTED = "delimited identifier"
NUMBER = "number"
STRING = "string literal"
END = "end of the query"
BAD = "character"

# Every quantifier is possessive and every character belongs to some token, so that the time is linear and
# no character is skipped. A number takes the letters, digits and points that follow it, an unclosed quote
# the rest of the text: both are refused where they are read, with the whole of it in the message.
_TOKEN = re.compile(
    r"""
    (?: [ \t\r\n]++ | --[^\r\n]*+ )*+              # separators (REC 2.1.9, 2.1.10)
    (
      [A-Za-z][A-Za-z0-9_]*+                       # word (REC 2.1.5)
    | (?: [0-9]++ (?: \.[0-9]*+ )? | \.[0-9]++ )   # number (REC 2.1.8)
      (?: [eE][+-]?[0-9]++ )?
      [A-Za-z0-9_.]*+
    | '[^']*+ (?: ''[^']*+ )*+ '?                  # string literal (REC 2.1.8)
    | "[^"]*+ (?: ""[^"]*+ )*+ "?                  # delimited identifier (REC 2.1.6)
    | <> | <= | >= | != | \|\|                     # two-character signs
    | [^ \t\r\n]                                   # one-character signs, and anything else
    | \Z
    )
    """,
    re.VERBOSE,
)

_SIGNS = ("<>", "<=", ">=", "!=", "||", "<", ">", "=", "+", "-", "*", "/", "(", ")", ",", ".", ";")
_KINDS = {word: word for word in (*RESERVED_WORDS, *_SIGNS)}
_FIRST = {
    "": END,
    "'": STRING,
    '"': QUOTED,
    ".": NUMBER,
    **dict.fromkeys("0123456789", NUMBER),
    **dict.fromkeys("ABCDEFGHIJKLMNOPQRSTUVWXYZ", NAME),
}

_LONGEST_SHOWN = 40
_BIGINT_DIGITS = 19
_COMMA = "there is a comma too many"
_COMMENTS = "comments start with --"

# Words that end up where no word can stand, because another dialect gives them a meaning.
_WORDS = {
    "LIMIT": "LIMIT is not ADQL: use TOP",
    "FETCH": "FETCH is not ADQL: use TOP",
    "ROWS": "write OFFSET n without ROWS",
    "CROSS": "CROSS JOIN is not ADQL: write a comma, or JOIN without a condition",
    "CASE": "CASE is not ADQL",
    "NULLIF": "NULLIF is not ADQL",
    "INTO": "a query cannot create a table",
    "ESCAPE": "LIKE has no ESCAPE in ADQL",
    "INTERVAL": "INTERVAL is not an ADQL value",
    "SUBSTRING": "SUBSTRING is not ADQL",
    "TRIM": "TRIM is not ADQL",
    "EXTRACT": "EXTRACT is not ADQL",
    "TRUE": "ADQL has no boolean literals: compare with 1",
    "FALSE": "ADQL has no boolean literals: compare with 0",
    **dict.fromkeys(("CURRENT_USER", "SESSION_USER", "SYSTEM_USER"), "ADQL does not know who asks"),
    **dict.fromkeys(("CHAR_LENGTH", "CHARACTER_LENGTH"), "ADQL has no length of a text"),
    "CONVERT": "write CAST(x AS type)",
    "ON": "put a join inside of another join in parentheses",
    "RECURSIVE": "recursive common table expressions are not ADQL",
    "OVER": "window functions are not ADQL",
    "WITH": "WITH stands only before the main query",
    **dict.fromkeys(
        ("CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"),
        "ADQL has no clock: write CAST('2025-01-31T00:00:00' AS TIMESTAMP)",
    ),
    "REGEXP": "regular expressions are not ADQL: use LIKE",
    "RLIKE": "regular expressions are not ADQL: use LIKE",
    "NULLS": "ADQL does not say where NULL stands in an order",
    "SIMILAR": "regular expressions are not ADQL: use LIKE",
    "ISNULL": "write IS NULL",
    "NOTNULL": "write IS NOT NULL",
    "INSERT": "ADQL only reads",
    "UPDATE": "ADQL only reads",
    "DELETE": "ADQL only reads",
    "DROP": "ADQL only reads",
    "CREATE": "ADQL only reads",
    "ALTER": "ADQL only reads",
    "GRANT": "ADQL only reads",
    "TRUNCATE": "TRUNCATE(x, n) is a function in ADQL",
}
_CHARACTERS = {
    "%": "write MOD(a, b)",
    "^": "write POWER(a, b)",
    "[": "arrays have no elements in ADQL",
    "`": 'write names in double quotes: "name"',
    "$": "ADQL has no parameters",
    "?": "ADQL has no parameters",
    ":": "write CAST(x AS type)",
    "~": "regular expressions are not ADQL: use LIKE",
    "#": "comments start with --",
    "{": "replace the placeholder before the query is sent",
    "!": "write NOT or <>",
    "_": 'a name that does not start with a letter stands in double quotes: "_name"',
    "@": "ADQL has no variables",
    "&": "write AND",
    "|": "write OR, or || between character strings",
    "\\": "outside of literals ADQL has no backslash",
}
_COMPARISONS = frozenset(("=", "<>", "!=", "<", ">", "<=", ">="))
_DOUBLED = {("=", "="): "write one =", ("=", "<"): "write <=", ("=", ">"): "write >="}
_CLAUSES = ("FROM", "WHERE", "GROUP", "HAVING", "ORDER", "OFFSET")
_JOINS = frozenset(("JOIN", "LEFT", "RIGHT", "FULL", "INNER", "NATURAL"))
_MISSPELT = ("SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "BETWEEN", "DISTINCT", "JOIN", "AND")
_LIST = "a list stands in parentheses: IN (1, 2)"
_TOP = re.compile(r"TOP([0-9]+)", re.IGNORECASE)
_CURLY = frozenset("\u2018\u2019\u201c\u201d")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A query as tokens; both lists end with `END`, several times.

    Parameters
    ----------
    text
        The query as it was sent.
    values
        What was written, token by token.
    kinds
        What it is, token by token.
    """

    text: str
    values: list[str]
    kinds: list[str]


def read_tokens(text: str, limits: Limits) -> Tokens:
    """Return the tokens of a query.

    Parameters
    ----------
    text
        The query.
    limits
        How many bytes, tokens and nested parentheses are accepted.

    Raises
    ------
    AdqlLimitError
        The query is too long or too deep.
    AdqlSyntaxError
        The text holds a NUL, or half of a surrogate pair; neither can be stored by PostgreSQL.
    """
    size = len(text)
    if size > limits.max_bytes or (size * 4 > limits.max_bytes and _bytes(text) > limits.max_bytes):
        raise AdqlLimitError(
            f"the query is longer than {limits.max_bytes} bytes", "upload long lists as a table"
        )
    if not text.isascii():
        _bytes(text)
    if "\0" in text:
        raise AdqlSyntaxError("the query holds a NUL character", text=text, offset=text.index("\0"))
    if size <= limits.max_tokens:
        values = _TOKEN.findall(text)
    else:
        # findall cannot be stopped: a megabyte of parentheses would be cut up to the end before it is
        # refused.
        values = [match[1] for match in islice(_TOKEN.finditer(text), limits.max_tokens + 2)]
        if len(values) > limits.max_tokens + 1 and values[limits.max_tokens]:
            raise AdqlLimitError(
                f"the query has more than {limits.max_tokens} words, numbers and signs",
                "upload long lists as a table",
            )
    # The parser looks up to two tokens ahead.
    values += ("", "")
    kinds = [_KINDS.get(word) or _FIRST.get(word[:1], BAD) for word in map(str.upper, values)]
    tokens = Tokens(text, values, kinds)
    if len(kinds) > limits.max_other_tokens:
        _check_other_tokens(kinds, limits.max_other_tokens)
    if text.count("(") > limits.max_nesting:
        _check_nesting(tokens, limits.max_nesting)
    return tokens


def offset_of_token(text: str, index: int) -> int:
    """Return where a token starts in the text.

    Parameters
    ----------
    text
        The query.
    index
        Number of the token, from 0.
    """
    match = next(islice(_TOKEN.finditer(text), index, None), None)
    return len(text) if match is None else match.start(1)


def fits_bigint(digits: str) -> bool:
    """Return whether digits are a number that a bigint holds; Python refuses to convert thousands of them."""
    significant = digits.lstrip("0") or "0"
    return len(significant) <= _BIGINT_DIGITS and int(significant) < 2**63


def error_at(
    kind: type[AdqlError], problem: str, hint: str = "", *, text: str | None, token: int
) -> AdqlError:
    """Return an error that points at a token, if the query was read from text.

    Parameters
    ----------
    kind
        Class of the error.
    problem, hint
        What was found, and what to write instead.
    text
        The query; `None` for a tree that was not read from text.
    token
        Number of the token, from 0; -1 for a node that was not read from text.
    """
    if text is None or token < 0:
        return kind(problem, hint)
    return kind(problem, hint, text=text, offset=offset_of_token(text, token))


def _bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise AdqlSyntaxError(
            "half of a surrogate pair is no character", text=text, offset=error.start
        ) from None


def _check_other_tokens(kinds: list[str], most: int) -> None:
    others = len(kinds) - kinds.count(NUMBER) - kinds.count(STRING) - kinds.count(",")
    if others > most:
        raise AdqlLimitError(f"the query has more than {most} words and signs beside literals and commas")


def _check_nesting(tokens: Tokens, deepest: int) -> None:
    depth = 0
    for index, kind in enumerate(tokens.kinds):
        if kind == "(":
            depth += 1
            if depth > deepest:
                raise AdqlLimitError(
                    f"parentheses are nested more than {deepest} deep",
                    text=tokens.text,
                    offset=offset_of_token(tokens.text, index),
                )
        elif kind == ")":
            depth -= 1


def describe_token(tokens: Tokens, index: int) -> str:
    """Return how a message names a token, such as ``'LIMIT'`` or ``the end of the query``."""
    kind = tokens.kinds[index]
    if kind == END:
        return "the end of the query"
    value = tokens.values[index]
    if kind == BAD and not value.isprintable():
        return f"the character U+{ord(value):04X}"
    if len(value) > _LONGEST_SHOWN:
        value = value[:_LONGEST_SHOWN] + "..."
    return repr(value) if "'" not in value else value


def hint_for_token(tokens: Tokens, index: int) -> str:
    """Return what to write instead of a token that cannot stand where it stands, if there is advice."""
    kind = tokens.kinds[index]
    before = tokens.values[index - 1].upper() if index else ""
    if before == ";":
        return "a request is one query"
    hint = _hint_for_place(tokens, index, before)
    if hint:
        return hint
    if kind == BAD:
        return _hint_for_character(tokens.values[index])
    if kind == NAME or kind in RESERVED_WORDS:
        return _hint_for_word(tokens, index, before) or _hint_for_misspelt(tokens, index)
    return _hint_for_sign(tokens, index, before) or _hint_for_misspelt(tokens, index)


def _hint_for_place(tokens: Tokens, index: int, before: str) -> str:
    """Return advice that follows from the tokens around a place in the query."""
    kind, kinds = tokens.kinds[index], tokens.kinds
    opened = tokens.values[index] in ("[", "{")
    earlier = kinds[index - 2] if index > 1 else ""
    bound = next((of for of in range(index, max(index - 4, 0), -1) if kinds[of] == "BETWEEN"), -1)
    one = bound > 0 and not (kinds[index - 1] == kinds[index + 1] == NUMBER and kinds[index + 2] == "AND")
    is_percent = tokens.values[index] == "%"
    known = (
        (before == "IN" and kind == "SELECT", "a subquery stands in parentheses: IN (SELECT ...)"),
        (before == "IN" and kind != "(", _LIST),
        (opened and (earlier, before) == ("IN", "("), _LIST),
        (one and (kind in (",", "TO") or opened), "write BETWEEN 1 AND 2"),
        (is_percent and earlier == "TOP", "ADQL has no TOP by percent: write TOP n"),
        (is_percent and earlier in ("LIKE", "ILIKE"), "a pattern stands in single quotes: LIKE 'a%'"),
        (kind == NUMBER and before in ("LIMIT", "FETCH"), _WORDS.get(before, "")),
        (kind == STRING and before in ("FROM", "JOIN"), "a table name stands without quotes"),
        (before == "USING", "write USING (column)"),
    )
    hint = next((hint for applies, hint in known if applies), "")
    hint = hint or _hint_for_aggregate(tokens, index, before, earlier)
    return hint or _hint_for_top(tokens, index, before, earlier)


def _hint_for_aggregate(tokens: Tokens, index: int, before: str, earlier: str) -> str:
    kind = tokens.kinds[index]
    if before == "(" and earlier in AGGREGATES:
        if kind == ")":
            return "write COUNT(*)" if earlier == "COUNT" else f"{earlier} takes one value"
        return "only COUNT takes *" if kind == "*" else ""
    called = tokens.kinds[_opening(tokens, index) - 1 :][:1] if before and kind in _COMPARISONS else []
    if called == [NAME] and tokens.values[_opening(tokens, index) - 1].upper() in ("IF", "IIF"):
        return "ADQL has no IF"
    return "COUNT(*) counts rows, COUNT(DISTINCT x) values" if (before, kind) == ("DISTINCT", "*") else ""


def _hint_for_top(tokens: Tokens, index: int, before: str, earlier: str) -> str:
    kind = tokens.kinds[index]
    if kind == "TOP":
        return "TOP stands after SELECT: SELECT TOP n ..."
    if kind == "," and earlier == "TOP":
        return "no comma stands after TOP n"
    if kind == "FIRST" and before == "SELECT":
        return "write TOP n"
    if kind == NUMBER and before == "SKIP":
        return "write OFFSET n at the end"
    for place in (index - 1, index - 2):
        joined = _TOP.fullmatch(tokens.values[place]) if place > 0 else None
        if joined is not None and tokens.kinds[place - 1] in ("SELECT", "DISTINCT", "ALL"):
            return f"write TOP {joined[1]}"
    return ""


def _hint_for_misspelt(tokens: Tokens, index: int) -> str:
    """Return the word that a name here, or just before, is likely to be."""
    for place in (index, index - 1):
        if place >= 0 and tokens.kinds[place] == NAME and len(tokens.values[place]) > 2:  # noqa: PLR2004  or an alias
            name = tokens.values[place].upper()
            swapped = next(
                (f"did you mean {word}?" for word in _MISSPELT if sorted(name) == sorted(word)), ""
            )
            hint = swapped or did_you_mean(name, _MISSPELT, least=0.75).replace('"', "")
            if hint:
                return hint
    return ""


def _hint_for_character(character: str) -> str:
    if character in _CURLY:
        return "typographic quotes are no quotes: write ' or \""
    if not character.isascii():
        return "outside of literals and double quotes ADQL is plain ASCII"
    return _CHARACTERS.get(character, "")


def _hint_for_sign(tokens: Tokens, index: int, before: str) -> str:
    kind = tokens.kinds[index]
    if kind in _COMPARISONS:
        if before in _COMPARISONS:
            return _DOUBLED.get((before, kind), "")
        if tokens.kinds[index - 2] == "||":
            return "write OR: || joins character strings"
        return "a comparison has two sides: write BETWEEN, or two comparisons with AND"
    earlier = tokens.values[index - 2].upper() if index > 1 else ""
    if kind == "," and earlier not in ("TOP", "OFFSET", "LIMIT"):
        return _hint_for_comma(tokens, index)
    if kind == ")" and before == ",":
        return _COMMA
    pairs = {
        ("/", "*"): _COMMENTS,
        ("(", ")"): "a list has at least one value" if earlier == "IN" else "",
        ("TOP", "("): "write TOP n",
        ("*", "*"): "write POWER(a, b)",
    }
    following = tokens.kinds[index + 1]
    return _COMMENTS if (kind, following) == ("/", "*") else pairs.get((before, kind), "")


def _hint_for_comma(tokens: Tokens, index: int) -> str:
    opened = _opening(tokens, index)
    caller = tokens.kinds[opened - 1] if opened > 0 else ""
    following = tokens.kinds[opened + 1]
    known = (
        (caller == "BETWEEN", "write BETWEEN 1 AND 2"),
        (
            opened >= 0 and "DISTINCT" in (following, caller),
            "COUNT(DISTINCT ...) takes one value: count the rows of a subquery with SELECT DISTINCT",
        ),
        (caller in AGGREGATES, f"{caller} takes one value"),
        (caller in _COMPARISONS, "a list stands after IN: x IN (1, 2)"),
        (
            caller in ("WHERE", "AND", "OR", "NOT", "ON") and following in (NAME, QUOTED),
            "ADQL compares one value at a time: use EXISTS, or a comparison for each",
        ),
    )
    hint = next((hint for applies, hint in known if applies), "")
    if hint:
        return hint
    decimals = tokens.kinds[index - 1] == tokens.kinds[index + 1] == NUMBER
    return "a number has a decimal point, not a comma" if decimals else ""


def _opening(tokens: Tokens, index: int) -> int:
    """Return which parenthesis a token stands in; -1 if it stands in none."""
    depth = 0
    for before in range(index - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(tokens.kinds[before], 0)
        if depth < 0:
            return before
    return -1


def _is_late(tokens: Tokens, index: int) -> bool:
    """Return whether a clause stands after one that it should stand before."""
    word = tokens.kinds[index]
    if word not in _CLAUSES:
        return False
    depth = 0
    for place in range(index - 1, -1, -1):
        kind = tokens.kinds[place]
        depth += {")": 1, "(": -1}.get(kind, 0)
        if depth == 0 and kind == "SELECT":
            return word != "FROM" and "FROM" not in tokens.kinds[place:index]
        if depth < 0:
            return False
        if depth == 0 and kind in _CLAUSES and _CLAUSES.index(kind) > _CLAUSES.index(word):
            return True
    return False


def _has_clause(tokens: Tokens, index: int, clause: str) -> bool:
    """Return whether the SELECT at hand has a clause before a place."""
    depth = 0
    for kind in reversed(tokens.kinds[:index]):
        depth += {")": 1, "(": -1}.get(kind, 0)
        if depth < 0 or (depth == 0 and kind == "SELECT"):
            return False
        if depth == 0 and kind == clause:
            return True
    return False


def _hint_for_word(tokens: Tokens, index: int, before: str) -> str:
    word = tokens.values[index].upper()
    following = tokens.kinds[index + 1]
    known = (
        (before in ("LIMIT", "RECURSIVE"), _WORDS.get(before, "")),
        (before == "," and word in STRUCTURE_WORDS, _COMMA),
        (
            _is_late(tokens, index),
            "clauses stand in this order: SELECT, FROM, WHERE, GROUP BY, HAVING, ORDER BY, OFFSET",
        ),
        (
            word == "WHERE" and _has_clause(tokens, index, "WHERE"),
            "a query has one WHERE: join conditions with AND",
        ),
        (word in _JOINS and _has_clause(tokens, index, "WHERE"), "JOIN stands in FROM, before WHERE"),
        ((before, word) == ("UNION", "DISTINCT"), "write UNION"),
        ((before, word) == ("MINUS", "SELECT"), "write EXCEPT"),
        (
            word == "DISTINCT" and index > 1 and tokens.kinds[index - 2] == "TOP",
            "write DISTINCT before TOP",
        ),
        (
            word in ("DATE", "TIME", "TIMESTAMP") and following == STRING,
            "write CAST('...' AS TIMESTAMP)",
        ),
    )
    hint = next((hint for applies, hint in known if applies), "")
    if hint:
        return hint
    return _WORDS.get(word) or _hint_for_reserved(word, following)


def _hint_for_reserved(word: str, following: str) -> str:
    if word in FUNCTION_WORDS:
        return "" if following == "(" else "it is the name of a function; in double quotes it is a name"
    if word not in RESERVED_WORDS or word in STRUCTURE_WORDS:
        return ""
    if following == "(":
        return f"ADQL has no function {word}"
    return "it is a reserved word; in double quotes it is a name"
