"""What to write instead of something that other SQL dialects have and ADQL has not."""

from __future__ import annotations

from adql.tokens import BAD, END, NAME, NUMBER, STRING, Tokens
from adql.words import FUNCTION_WORDS, RESERVED_WORDS, STRUCTURE_WORDS

__all__ = ["describe_token", "hint_for_token"]

_LONGEST_SHOWN = 40
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
    "ON": "put a join inside of another join in parentheses",
    "RECURSIVE": "recursive common table expressions are not ADQL",
    "OVER": "window functions are not ADQL",
    "WITH": "WITH stands only before the main query",
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
_CURLY = frozenset("\u2018\u2019\u201c\u201d")


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
    if kind == BAD:
        return _hint_for_character(tokens.values[index])
    if kind == NAME or kind in RESERVED_WORDS:
        return _hint_for_word(tokens, index, before)
    if kind == NUMBER and before in ("LIMIT", "FETCH"):
        return _WORDS[before]
    return _hint_for_sign(tokens, index, before)


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
        decimals = tokens.kinds[index - 1] == tokens.kinds[index + 1] == NUMBER
        return "a number has a decimal point, not a comma" if decimals else ""
    if kind == ")" and before == ",":
        return _COMMA
    pairs = {
        ("/", "*"): _COMMENTS,
        ("(", ")"): "a list has at least one value" if earlier == "IN" else "",
        ("TOP", "("): "write TOP n",
    }
    following = tokens.kinds[index + 1]
    return _COMMENTS if (kind, following) == ("/", "*") else pairs.get((before, kind), "")


def _hint_for_word(tokens: Tokens, index: int, before: str) -> str:
    word = tokens.values[index].upper()
    following = tokens.kinds[index + 1]
    if before in ("LIMIT", "RECURSIVE"):
        return _WORDS[before]
    if before == "," and word in STRUCTURE_WORDS:
        return _COMMA
    if word == "DISTINCT" and index > 1 and tokens.kinds[index - 2] == "TOP":
        return "write DISTINCT before TOP"
    if word in ("DATE", "TIME", "TIMESTAMP") and following == STRING:
        return "write CAST('...' AS TIMESTAMP)"
    return _WORDS.get(word) or _hint_for_reserved(word, following)


def _hint_for_reserved(word: str, following: str) -> str:
    if word in FUNCTION_WORDS:
        return "" if following == "(" else "it is the name of a function; in double quotes it is a name"
    if word not in RESERVED_WORDS or word in STRUCTURE_WORDS:
        return ""
    if following == "(":
        return f"ADQL has no function {word}"
    return "it is a reserved word; in double quotes it is a name"
