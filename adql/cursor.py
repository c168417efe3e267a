"""The place in the tokens where the parser is, and how it says what it did not expect there."""

from __future__ import annotations

from adql.dialect import Dialect
from adql.errors import AdqlError, AdqlLimitError, AdqlSyntaxError
from adql.hints import describe_token, hint_for_token
from adql.limits import Limits
from adql.tokens import NAME, NUMBER, QUOTED, Tokens, offset_of_token
from adql.tree import Identifier
from adql.words import FUNCTION_WORDS, RESERVED_WORDS, STRUCTURE_WORDS

__all__ = ["Cursor"]

_BIGINT_DIGITS = 19


class Cursor:
    """What every part of the parser does with tokens.

    Parameters
    ----------
    tokens
        The query.
    dialect
        What is tolerated beyond ADQL 2.1.
    limits
        Bounds on the query.
    """

    __slots__ = ("dialect", "index", "kinds", "limits", "parenthesis", "subqueries", "tokens", "values")

    def __init__(self, tokens: Tokens, dialect: Dialect, limits: Limits) -> None:
        self.tokens = tokens
        self.values = tokens.values
        self.kinds = tokens.kinds
        self.dialect = dialect
        self.limits = limits
        self.index = 0
        self.subqueries = 0
        # First and last token of the parenthesis that was read last.
        self.parenthesis = (-1, -1)

    def error(
        self, problem: str, hint: str = "", *, at: int | None = None, kind: type[AdqlError] = AdqlSyntaxError
    ) -> AdqlError:
        """Return an error that points at a token, by default at the one that is next."""
        index = self.index if at is None else at
        text = self.tokens.text
        return kind(problem, hint, text=text, offset=offset_of_token(text, index))

    def unexpected(self, wanted: str = "") -> AdqlError:
        """Return the error for a token that cannot stand where it stands."""
        index = self.index
        problem = f"unexpected {describe_token(self.tokens, index)}"
        if wanted:
            problem += f" instead of {wanted}"
        return self.error(problem, hint_for_token(self.tokens, index))

    def expect(self, kind: str) -> None:
        """Step over a word or sign that must come next."""
        if self.kinds[self.index] != kind:
            raise self.unexpected(repr(kind))
        self.index += 1

    def identifier(self, what: str) -> Identifier:
        """Read a name; `what` says in a message which one is meant."""
        index = self.index
        kind = self.kinds[index]
        if kind == NAME:
            self.index = index + 1
            return Identifier(self.values[index])
        if kind == QUOTED:
            self.index = index + 1
            return self.delimited(index)
        if kind in FUNCTION_WORDS and self.dialect.function_words_as_names and self.kinds[index + 1] != "(":
            self.index = index + 1
            return Identifier(self.values[index].lower(), quoted=True)
        if kind in RESERVED_WORDS and (kind not in STRUCTURE_WORDS or self.kinds[index - 1] == "."):
            word = self.values[index]
            reason = "the name of a function" if kind in FUNCTION_WORDS else "a reserved word"
            raise self.error(f"{word!r} is {reason} and cannot be {what}", f'write "{word}" in double quotes')
        raise self.unexpected(what)

    def delimited(self, index: int) -> Identifier:
        """Return the delimited identifier of a token (REC 2.1.6)."""
        value = self.values[index]
        if value.count('"') & 1:
            raise self.error(
                "a delimited identifier is not closed", 'a double quote inside it is written ""', at=index
            )
        if value == '""':
            raise self.error("a delimited identifier is empty", at=index)
        return Identifier(value[1:-1].replace('""', '"'), quoted=True)

    def names(self, most: int, what: str) -> tuple[Identifier, ...]:
        """Read names with points between them."""
        names = [self.identifier(what)]
        while self.kinds[self.index] == ".":
            if len(names) == most:
                raise self.error(f"{what} has at most {most} parts")
            self.index += 1
            names.append(self.identifier(what))
        return tuple(names)

    def unsigned_integer(self, what: str) -> int:
        """Read digits; `what` says in a message what they are for."""
        index = self.index
        value = self.values[index]
        if self.kinds[index] != NUMBER or not value.isdigit():
            raise self.unexpected(f"an unsigned integer for {what}")
        digits = value.lstrip("0") or "0"
        # Python refuses to convert thousands of digits.
        if len(digits) > _BIGINT_DIGITS or int(digits) >= 2**63:
            raise self.error(f"{what} is too large", kind=AdqlLimitError)
        self.index = index + 1
        return int(digits)

    def check_length(self, length: int, most: int, what: str) -> None:
        """Refuse a list that has become longer than the limits allow."""
        if length > most:
            raise self.error(f"{what} has more than {most} items", kind=AdqlLimitError)

    def check_chain(self, length: int, at: int) -> None:
        """Refuse a chain that has become longer than the limits allow."""
        if length - 1 > self.limits.max_operators:
            raise self.error(
                f"a chain has more than {self.limits.max_operators} operators",
                "use IN, or upload the values as a table",
                at=at,
                kind=AdqlLimitError,
            )
