"""A grammar in EBNF: recognises token lists by Earley's algorithm, and writes random sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Grammar", "read_grammar"]

_TOKEN = re.compile(r"\s*(?:'([^']+)'|(\w+)|([][{}()|;=]))")
_CLOSING = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True, slots=True)
class _State:
    """An alternative of a rule, up to where it has been read, and the token at which it began."""

    name: str
    body: tuple[str, ...]
    dot: int
    origin: int

    @property
    def next(self) -> str | None:
        return self.body[self.dot] if self.dot < len(self.body) else None

    def moved(self) -> _State:
        return _State(self.name, self.body, self.dot + 1, self.origin)


@dataclass
class Grammar:
    """Rules as alternatives of symbols; `'X'` in quotes is a terminal.

    Attributes
    ----------
    rules
        Alternatives by the name of the rule; those with a number are parts of others.
    """

    rules: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    _nullable: set[str] = field(default_factory=set)

    @property
    def symbols(self) -> set[str]:
        """All symbols that stand in a rule."""
        return {symbol for alternatives in self.rules.values() for one in alternatives for symbol in one}

    def derives(self, start: str, tokens: Sequence[frozenset[str]]) -> bool:
        """Return whether a rule derives the tokens; each token is the set of terminals that it can be."""
        self._nullable = self._find_nullable()
        columns: list[dict[_State, None]] = [{} for _ in range(len(tokens) + 1)]
        columns[0] = {_State(start, body, 0, 0): None for body in self.rules[start]}
        for index, column in enumerate(columns):
            waiting = list(column)
            while waiting:
                state = waiting.pop()
                if state.next is not None and state.next not in self.rules:
                    if index < len(tokens) and state.next in tokens[index]:
                        columns[index + 1][state.moved()] = None
                    continue
                for new in list(self._follow(state, index, columns)):
                    if new not in column:
                        column[new] = None
                        waiting.append(new)
        return any(state.name == start and state.next is None and state.origin == 0 for state in columns[-1])

    def _follow(
        self, state: _State, index: int, columns: Sequence[Mapping[_State, None]]
    ) -> Iterator[_State]:
        """Yield what follows in the same column from a state that waits for a rule, or is complete."""
        if state.next is None:
            yield from (of.moved() for of in columns[state.origin] if of.next == state.name)
            return
        yield from (_State(state.next, one, 0, index) for one in self.rules[state.next])
        if state.next in self._nullable:
            yield state.moved()

    def write(self, start: str, choose: Callable[[int], int], depth: int) -> Iterator[str]:
        """Yield the terminals of a random sentence; below some depth the shortest alternatives are taken."""
        costs = self._costs()
        waiting = [(start, depth)]
        while waiting:
            symbol, left = waiting.pop()
            if symbol not in self.rules:
                yield symbol
                continue
            alternatives = self.rules[symbol]
            if left <= 0:
                alternatives = [min(alternatives, key=lambda one: sum(costs.get(of, 1) for of in one))]
            chosen = alternatives[choose(len(alternatives))]
            below = left if symbol[-1].isdigit() else left - 1
            waiting += ((of, below) for of in reversed(chosen))

    def _find_nullable(self) -> set[str]:
        found: set[str] = set()
        while True:
            more = {name for name, of in self.rules.items() if any(set(one) <= found for one in of)}
            if more == found:
                return found
            found = more

    def _costs(self) -> Mapping[str, int]:
        """Return the length of the shortest sentence of each rule."""
        costs = dict.fromkeys(self.rules, 10_000)
        while True:
            new = {
                name: min(sum(costs.get(symbol, 1) for symbol in one) for one in alternatives)
                for name, alternatives in self.rules.items()
            }
            if new == costs:
                return costs
            costs = new


def read_grammar(text: str) -> Grammar:
    """Return the grammar that a text in EBNF describes."""
    reader = _Reader(text)
    while reader.waiting:
        name = reader.next()
        assert reader.next() == "=", name
        assert name not in reader.grammar.rules, f"{name} is defined twice"
        reader.grammar.rules[name] = []
        reader.grammar.rules[name] = reader.alternatives(name, ";")
    return reader.grammar


class _Reader:
    def __init__(self, text: str) -> None:
        self.grammar = Grammar()
        self.parts = 0
        found = list(_TOKEN.finditer(text))
        assert "".join(of[0] for of in found).split() == text.split(), "something is no EBNF"
        self.waiting = [f"'{of[1]}'" if of[1] else of[2] or of[3] for of in found][::-1]

    def next(self) -> str:
        return self.waiting.pop()

    def alternatives(self, name: str, end: str) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        sequence: list[str] = []
        while (symbol := self.next()) != end:
            if symbol == "|":
                found.append(tuple(sequence))
                sequence = []
            elif symbol in _CLOSING:
                sequence.append(self._part(name, symbol))
            else:
                sequence.append(symbol)
        return [*found, tuple(sequence)]

    def _part(self, name: str, opening: str) -> str:
        self.parts += 1
        part = f"{name} {self.parts}"
        inside = self.alternatives(name, _CLOSING[opening])
        if opening == "{":
            inside = [(*one, part) for one in inside]
        self.grammar.rules[part] = inside if opening == "(" else [*inside, ()]
        return part
