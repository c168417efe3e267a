"""ADQL: what parsing and translating cost, beside queryparser and sqlglot, and what hostile queries cost.

Queries are those beside the project (`benchmarks.adql_inputs.CORPUS`) or, where there are none, those of
the tests. All three do the same work on the same queries, one after the other: text to tree to SQL for
PostgreSQL. Ours also looks every name up and checks every type.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median

import sqlglot

from adql import AdqlError, AdqlLimitError, Limits, parse, to_postgres
from benchmarks.adql_inputs import BOMBS, CORPUS, LARGE_TABLE, Case, Work, read_cases, read_work
from benchmarks.results_file import Reach, missed, print_table, say, write_results
from tests.adql.amplifiers import DIALECT, REPORTED, amplifiers, laboratory, other_amplifiers
from tests.adql.published_tables import METADATA

__all__ = ["REACHES", "main"]

REACHES = (
    Reach("parse_ms_median", 0.10, "ms to parse a query, median over the corpus"),
    Reach("parse_translate_ms_median", 0.30, "ms to parse, check and translate a query"),
    Reach("vs_queryparser_ratio", 0.01, "the same work: our time / queryparser's, medians"),
    Reach("vs_sqlglot_ratio", 0.45, "the same work: our time / sqlglot's, medians"),
    Reach("bomb_ms_max", 50, "ms for the worst hostile query"),
    Reach("explain_mb_max", 200, "MB above an idle backend, EXPLAIN of an accepted hostile query"),
    Reach("explain_ms_max", 2000, "ms of EXPLAIN of an accepted hostile query"),
    Reach("accept_valid_missed_percent", 0.1, "valid queries that are refused"),
    Reach("reject_invalid_missed_percent", 0.5, "invalid texts that are accepted"),
    Reach("security_missed_percent", 0, "hostile texts that are accepted"),
)

_QUERYPARSER_SAMPLE = 120
# Address space of each process of the server that explains hostile queries.
_SERVER_MB = 1_000


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/adql.json``; return 1 if something was not reached."""
    options = argparse.ArgumentParser(prog="python -m benchmarks adql", description=__doc__)
    options.add_argument("--rounds", type=int, default=5, help="repetitions, of which the best counts")
    rounds = options.parse_args(arguments).rounds
    cases = read_cases()
    say(f"{len(cases)} labelled texts from {CORPUS if CORPUS.exists() else 'the tests'}")
    figures = _acceptance(cases)
    work = read_work(cases)
    say(f"{len(work)} queries to parse and translate")
    figures |= _speed(work, rounds) | _beside_sqlglot(work, rounds) | _beside_queryparser(work)
    figures["bomb_ms_max"] = _worst_bomb(rounds)
    figures |= _worst_plan()
    say(f"written to {write_results('adql', figures)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def _acceptance(cases: Iterable[Case]) -> dict[str, float]:
    """Return what part of the labelled texts is judged wrongly; each of them is shown."""
    counts = dict.fromkeys(("valid", "invalid", "security"), 0)
    wrong = dict.fromkeys(counts, 0)
    for case in cases:
        kinds = ["valid"] if case.valid else ["invalid", *(["security"] if case.security else [])]
        accepted = _accepts(case.text)
        for kind in kinds:
            counts[kind] += 1
            wrong[kind] += accepted != case.valid
        if accepted != case.valid:
            say(f"  {'refused' if case.valid else 'accepted'}: {' '.join(case.text.split())[:150]}")
    percent = {kind: 100 * wrong[kind] / max(counts[kind], 1) for kind in counts}
    return {
        "accept_valid_missed_percent": percent["valid"],
        "reject_invalid_missed_percent": percent["invalid"],
        "security_missed_percent": percent["security"],
        **{f"{kind}_texts": count for kind, count in counts.items()},
    }


def _accepts(text: str) -> bool:
    try:
        parse(text)
    except AdqlError:
        return False
    return True


def _ms(do: Callable[[], object], rounds: int) -> float:
    """Return the milliseconds that a call takes, the best of several."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        do()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def _ours(work: Work) -> object:
    return to_postgres(parse(work.text), work.metadata)


def _speed(work: Sequence[Work], rounds: int) -> dict[str, float]:
    parsed = [_ms(lambda one=one: parse(one.text), rounds) for one in work]  # type: ignore[misc]
    whole = [_ms(lambda one=one: _ours(one), rounds) for one in work]  # type: ignore[misc]
    return {
        "queries": len(work),
        "parse_ms_median": median(parsed),
        "parse_ms_p95": sorted(parsed)[len(parsed) * 95 // 100],
        "parse_translate_ms_median": median(whole),
        "parse_translate_ms_p95": sorted(whole)[len(whole) * 95 // 100],
    }


def _beside_sqlglot(work: Sequence[Work], rounds: int) -> dict[str, float]:
    """Compare with sqlglot, which reads TOP as T-SQL does, on the queries that it can read."""

    def theirs(one: Work) -> object:
        return sqlglot.parse_one(one.text, read="tsql").sql(dialect="postgres")

    pairs = []
    for one in work:
        try:
            theirs(one)
        except sqlglot.errors.SqlglotError:
            continue
        pairs.append((_ms(lambda one=one: _ours(one), rounds), _ms(lambda one=one: theirs(one), rounds)))  # type: ignore[misc]
    return _ratio("sqlglot", pairs)


def _beside_queryparser(work: Sequence[Work]) -> dict[str, float]:
    """Compare with queryparser, once for each of a sample: it takes a thousand times as long."""
    try:
        from queryparser.adql import ADQLQueryTranslator  # noqa: PLC0415  only those who compare have it
        from queryparser.exceptions import QueryError, QuerySyntaxError  # noqa: PLC0415
    except ImportError:
        say("queryparser-python3 is not installed: no comparison with it")
        return {}
    logging.getLogger("antlr4").setLevel(logging.ERROR)

    def theirs(one: Work) -> object:
        return ADQLQueryTranslator(one.text).to_postgresql()

    pairs = []
    for one in work[:: max(1, len(work) // _QUERYPARSER_SAMPLE)]:
        try:
            pairs.append((_ms(lambda one=one: _ours(one), 3), _ms(lambda one=one: theirs(one), 1)))  # type: ignore[misc]
        except (QueryError, QuerySyntaxError, AttributeError, IndexError, TypeError, RuntimeError):
            # It cannot read the query, or breaks on it.
            continue
    return _ratio("queryparser", pairs)


def _ratio(name: str, pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    return {f"{name}_ms_median": theirs, f"{name}_queries": len(pairs), f"vs_{name}_ratio": ours / theirs}


def _worst_bomb(rounds: int) -> float:
    worst = 0.0
    for name, text in BOMBS.items():
        spent = _ms(lambda text=text: _defuse(text), 4 * rounds)  # type: ignore[misc]
        if spent > worst:
            worst = spent
            say(f"  {spent:6.1f} ms {name}")
    return worst


def _defuse(text: str) -> None:
    try:
        to_postgres(parse(text), LARGE_TABLE)
    except AdqlError:
        return


def _worst_plan() -> dict[str, float]:
    """Return the most memory and time of EXPLAIN over the hostile queries that are accepted."""
    costs = []
    with laboratory(_SERVER_MB) as server:
        for text in (*REPORTED.values(), *amplifiers(), *other_amplifiers()):
            try:
                compiled = to_postgres(parse(text, dialect=DIALECT), METADATA, Limits(max_rows=1000))
            except AdqlLimitError:
                continue
            costs.append(server.cost(compiled))
    megabytes, milliseconds = map(max, zip(*costs, strict=True))
    return {"explain_mb_max": megabytes, "explain_ms_max": milliseconds, "explained_queries": len(costs)}
