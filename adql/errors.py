"""What is wrong with a query, where, and what to write instead."""

from tapdb.errors import TapdbError

# A longer source line is shown as a window around the caret: some programs send a query as one line of many
# kilobytes.
_WINDOW = 100


class AdqlError(TapdbError, ValueError):
    """A query cannot be used as ADQL 2.1.

    Parameters
    ----------
    problem
        What was found, in one sentence without a full stop.
    hint
        What to write instead.
    text
        The query as it was sent, if it is known.
    offset
        Index of the first character at fault in `text`.

    Attributes
    ----------
    line, column
        Position of the fault, both counted from 1; `None` for a tree that was not read from text.
    source_line
        The line of the query that holds the fault.
    """

    def __init__(
        self, problem: str, hint: str = "", *, text: str | None = None, offset: int | None = None
    ) -> None:
        self.problem = problem
        self.hint = hint
        self.line: int | None = None
        self.column: int | None = None
        self.source_line: str | None = None
        if text is not None and offset is not None:
            start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
            before = text[:start]
            self.line = before.count("\n") + before.count("\r") - before.count("\r\n") + 1
            self.column = offset - start + 1
            # Not splitlines(): it also breaks at characters such as U+2028, which are ordinary ones inside
            # a literal.
            self.source_line = text[start : start + len(text)].replace("\r", "\n").partition("\n")[0]
        super().__init__(self._message())

    def _message(self) -> str:
        message = self.problem
        if self.line is not None:
            message += f" (line {self.line}, column {self.column})"
        if self.hint:
            message += f": {self.hint}"
        if self.source_line is not None and self.column is not None:
            message += "\n" + _with_caret(self.source_line, self.column)
        return message


class AdqlSyntaxError(AdqlError):
    """The text does not follow the grammar of ADQL 2.1."""


class AdqlNameError(AdqlError):
    """A table, column or function is not published, or a name means more than one thing."""


class AdqlTypeError(AdqlError):
    """A value has a type, unit or range that cannot stand where it stands."""


class AdqlLimitError(AdqlError):
    """The query is longer or deeper than the service accepts."""


class AdqlEngineError(AdqlError):
    """The query is right, but the engine that is to answer it cannot do so as PostgreSQL does."""


def _with_caret(line: str, column: int) -> str:
    start = max(0, column - 1 - _WINDOW // 2)
    # A tab or control character would move the caret, or upset the terminal that shows the log.
    window = "".join(of if of.isprintable() else " " for of in line[start : start + _WINDOW])
    return f"  {window}\n  {' ' * (column - 1 - start)}^"
