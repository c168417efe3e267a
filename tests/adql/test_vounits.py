"""Which texts are units is what the grammar of VOUnits 1.1 says, read here by a general recogniser."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterator

import pytest
from astropy import units

from adql.units import vounit

# Appendix C.4 of the recommendation, and its terminals.
GRAMMAR = """
input: complete_expression | scalefactor complete_expression | LIT1
complete_expression: product_of_units | product_of_units DIVISION unit_expression
product_of_units: unit_expression | product_of_units DOT unit_expression
unit_expression: term | function_application | OPEN_P complete_expression CLOSE_P
function_application: STRING OPEN_P function_operand CLOSE_P
function_operand: complete_expression | scalefactor complete_expression
scalefactor: LIT10 STARSTAR numeric_power | LIT10 | LIT1 | VOUFLOAT
term: unit | unit STARSTAR numeric_power
unit: STRING | QUOTED_STRING | STRING QUOTED_STRING | PERCENT
numeric_power: integer | parenthesized_number
parenthesized_number: OPEN_P integer CLOSE_P | OPEN_P FLOAT CLOSE_P \
| OPEN_P integer DIVISION UNSIGNED_INTEGER CLOSE_P
integer: SIGNED_INTEGER | UNSIGNED_INTEGER
"""
TERMINALS = {
    "DIVISION": ("/", ["/"]),
    "DOT": (r"\.", ["."]),
    "FLOAT": (r"[-+]?[0-9]+\.[0-9]+", ["0.5", "-1.5", "+2.25"]),
    "LIT1": ("1", ["1"]),
    "LIT10": ("10", ["10"]),
    "OPEN_P": (r"\(", ["("]),
    "CLOSE_P": (r"\)", [")"]),
    "PERCENT": ("%", ["%"]),
    "SIGNED_INTEGER": ("[-+][0-9]+", ["-1", "+2", "-12"]),
    "UNSIGNED_INTEGER": ("[0-9]+", ["2", "3", "10", "0"]),
    "STARSTAR": (r"\*\*", ["**"]),
    "STRING": ("[a-zA-Z]+", ["m", "km", "Hz", "mag", "log", "sqrt", "furlong", "e", "E"]),
    "QUOTED_STRING": ("'[a-zA-Z]+'", ["'m'", "'furlong'"]),
    "VOUFLOAT": (
        r"(0\.[0-9]+|[1-9][0-9]*(\.[0-9]+)?)([eE][+-]?[0-9]+)?",
        ["25.4", "1.5e+11", "0.123", "2E3", "100"],
    ),
}
RULES = {
    name: [alternative.split() for alternative in body.split("|")]
    for name, body in (line.split(":") for line in GRAMMAR.strip().splitlines())
}
ALPHABET = "mskg1205.%/*()'+-eE^_ A"


def is_sentence(text: str) -> bool:
    """Return whether the grammar has a text: ends of each symbol at each place, until no more are found."""
    ends: dict[tuple[str, int], set[int]] = {}
    for name, (pattern, _) in TERMINALS.items():
        whole = re.compile(pattern)
        for start in range(len(text)):
            ends[name, start] = {
                end
                for end in range(start + 1, len(text) + 1)
                if whole.fullmatch(text, start, end)
                and not (name == "VOUFLOAT" and float(text[start:end]) == 0)
            }
    grown = True
    while grown:
        grown = False
        for name, alternatives in RULES.items():
            for start in range(len(text)):
                known = ends.setdefault((name, start), set())
                before = len(known)
                for parts in alternatives:
                    reached = {start}
                    for part in parts:
                        reached = {end for at in reached for end in ends.get((part, at), ())}
                    known |= reached
                grown |= len(known) > before
    return len(text) in ends.get(("input", 0), ())


def sentence(chance: random.Random, name: str = "input", depth: int = 0) -> str:
    """Return a text of the grammar."""
    if name in TERMINALS:
        return chance.choice(TERMINALS[name][1])
    alternatives = RULES[name]
    if depth > 9:
        alternatives = alternatives[:1]
    return "".join(sentence(chance, part, depth + 1) for part in chance.choice(alternatives))


def texts() -> Iterator[str]:
    """Yield sentences of the grammar, and texts beside them."""
    chance = random.Random(1958)
    for _ in range(400):
        text = sentence(chance)[:24]
        yield text
        for _ in range(2):
            at = chance.randrange(len(text) + 1)
            put = chance.choice(["", chance.choice(ALPHABET), chance.choice(ALPHABET)])
            yield text[:at] + put + text[at + chance.randint(0, 1) :]


def test_a_text_is_a_unit_if_and_only_if_the_grammar_has_it() -> None:
    counts = {True: 0, False: 0}
    for text in filter(None, texts()):
        wanted = is_sentence(text)
        assert (vounit(text).problem is None) == wanted, (text, vounit(text))
        counts[wanted] += 1
    assert min(counts.values()) > 200, counts


@pytest.mark.parametrize(
    "text", ["%", "log(Hz)", "ln(K)", "km.s**-1", "10**-3Jy", "25.4mm", "'furlong'", "m'B'", "1"]
)
def test_units_of_the_standard_are_fine(text: str) -> None:
    assert vounit(text) == vounit("m")


@pytest.mark.parametrize(
    "text",
    [
        "km s-1",
        "m2",
        "W/m^2",
        "m*s",
        "'deg_C'",
        "deg_C",
        "m/s/kg",
        "0.0m",
        "1.m",
        "m**0.5",
        "?",
        "\u00b5m",
        "m ",
        "'m",
    ],
)
def test_units_of_other_standards_are_none(text: str) -> None:
    assert vounit(text).problem is not None


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("nmgy.arcsec**2", ("nmgy",)),
        ("furlong/week", ("furlong", "week")),
        ("foo(m)", ("foo",)),
        ("electron", ("electron",)),
        ("dam", ("dam",)),
        ("Kifurlong", ("Kifurlong",)),
        ("kmas", ("kmas",)),
        ("degree", ("degree",)),
    ],
)
def test_what_the_standard_does_not_list_is_named_and_no_fault(text: str, unknown: tuple[str, ...]) -> None:
    assert (vounit(text).problem, vounit(text).unknown) == (None, unknown)


def test_what_is_listed_is_what_astropy_knows_but_for_what_version_1_1_has_added() -> None:
    known = set(units.format.VOUnit._units)
    names = {name for name in known if not vounit(name).unknown}
    # A prefix that must not be used.
    assert {name for name in known - names if not name.startswith("da")} == set()
    assert all(vounit(name).unknown == () for name in ("%", "ta", "Rm", "qg", "rHz"))
    for text in ("m.s**-1", "10**3kg", "m**(1/2)", "mag/arcsec**2", "mJy/beam", "km.s**-1"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert units.Unit(text, format="vounit", parse_strict="raise")
        assert vounit(text).problem is None
