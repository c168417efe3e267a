"""The plan of a query in words: which indexes answer it, what is read as a whole, how many rows come."""

from collections.abc import Iterator, Mapping
from typing import Any

_SCANS = {
    "Seq Scan": "reads all of {table}",
    "Parallel Seq Scan": "reads all of {table}",
    "Index Scan": "finds rows of {table} by index {index}",
    "Index Only Scan": "finds rows of {table} in index {index} alone",
    "Bitmap Index Scan": "finds rows by index {index}",
    "Function Scan": "reads what function {function} returns",
}
# A table of so few rows is read from begin to end because that is quicker.
_SMALL = 1_000
_MANY = 1_000_000


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
    for node in _nodes(plan):
        if (step := _step(node)) is not None:
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
        verdict, told = "small", "No index is used, and none is needed: the tables are small"
    else:
        verdict, told = "none", "No table is read"
    expected = "1 row is" if rows == 1 else f"{'about ' if rows else ''}{rows:,} rows are"
    return {
        "rows": rows,
        "verdict": verdict,
        "summary": f"{told}; {expected} expected.",
        "steps": [{"text": one["text"], "slow": one["slow"]} for one in steps.values()],
    }


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _step(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a node reads; `None` for one that reads no table."""
    kind = node["Node Type"]
    if kind not in _SCANS:
        return None
    table = ".".join(filter(None, (node.get("Schema"), node.get("Relation Name", ""))))
    index, function = node.get("Index Name", ""), node.get("Function Name", "")
    removed = node.get("Plan Rows", 0)
    is_whole = kind.endswith("Seq Scan")
    cost = node.get("Total Cost", 0.0) - node.get("Startup Cost", 0.0)
    return {
        "text": _SCANS[kind].format(table=table, index=index, function=function),
        "table": table,
        "index": bool(index),
        "slow": is_whole and max(removed, cost) > _SMALL,
    }
