"""Text to tokens: one pass of one regular expression, nothing dropped, nothing repaired.

A token is two strings: what was written, and its kind. Kinds are the sign or the reserved word itself (in
upper case), or `NAME`, `QUOTED`, `NUMBER`, `STRING`, `END` and `BAD`. Positions are found again when an
error needs one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from adql.errors import AdqlLimitError, AdqlSyntaxError
from adql.limits import Limits
from adql.words import RESERVED_WORDS

__all__ = ["BAD", "END", "NAME", "NUMBER", "QUOTED", "STRING", "Tokens", "offset_of_token", "read_tokens"]

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
    | [^ \t\r\n]                                   # one-character signs, and what is no token
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
