"""The plan of a query in words: which indexes answer it, what is read as a whole, how many rows come."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

_SCANS = {
    "Seq Scan": "reads all of {table}",
    "Index Scan": "finds rows of {table} by index {index}",
    "Index Only Scan": "finds rows of {table} in index {index} alone",
    "Bitmap Index Scan": "finds rows by index {index}",
    "Function Scan": "reads what function {function} returns",
}
# So much work, in the units of the planner, is a table of a hundred megabytes or so: below it nobody waits.
_SLOW = 10_000.0
# What has to come to its end before its first row is there: a limit above it saves nothing below it.
_WHOLE = frozenset(
    {"Aggregate", "GroupAggregate", "Hash", "HashAggregate", "Materialize", "Sort", "WindowAgg"}
)


def describe_plan(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a person wants to know of a plan.

    Parameters
    ----------
    plan
        Root of what ``EXPLAIN (FORMAT JSON)`` returns.

    Returns
    -------
    description
        ``rows`` that are expected; ``verdict``: ``index``, ``small``, ``scan`` or ``none``; ``summary`` in
        one sentence; ``steps``, each with its text and whether it may be slow.
    """
    steps: dict[str, dict[str, Any]] = {}
    for node, most in _nodes(plan, math.inf):
        if (step := _step(node, most)) is not None:
            known = steps.setdefault(step["text"], step)
            known["slow"] = known["slow"] or step["slow"]
    rows = int(plan.get("Plan Rows", 0))
    slow = [one for one in steps.values() if one["slow"]]
    by_index = [one for one in steps.values() if one["index"]]
    if slow:
        verdict, told = (
            "scan",
            f"No index helps with {', '.join(dict.fromkeys(one['table'] for one in slow))}",
        )
    elif by_index:
        verdict, told = "index", "Indexes find the rows"
    elif steps:
        verdict, told = "small", "No index is used, and none is needed: little is read"
    else:
        verdict, told = "none", "No table is read"
    expected = "1 row is" if rows == 1 else f"{'about ' if rows else ''}{rows:,} rows are"
    return {
        "rows": rows,
        "verdict": verdict,
        "summary": f"{told}; {expected} expected.",
        "steps": [{"text": one["text"], "slow": one["slow"]} for one in steps.values()],
    }


def _nodes(plan: Mapping[str, Any], most: float) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Yield all nodes, each with the work at which a limit above it ends it."""
    yield plan, most
    kind = plan["Node Type"]
    if kind == "Limit":
        most = min(most, plan["Total Cost"])
    elif kind in _WHOLE:
        most = math.inf
    for child in plan.get("Plans", ()):
        yield from _nodes(child, most)


def _step(node: Mapping[str, Any], most: float) -> dict[str, Any] | None:
    """Return what a node reads; `None` for one that reads no table."""
    kind = node["Node Type"]
    if kind not in _SCANS:
        return None
    table = ".".join(filter(None, (node.get("Schema"), node.get("Relation Name", ""))))
    index, function = node.get("Index Name", ""), node.get("Function Name", "")
    text = _SCANS[kind].format(table=table, index=index, function=function)
    work = min(node.get("Total Cost", 0.0), most)
    return {"text": text, "table": table, "index": bool(index), "slow": kind == "Seq Scan" and work > _SLOW}
