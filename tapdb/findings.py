"""What a check found: one shape for every job, so that one printer and one rule of exit codes serve all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from tapdb.errors import Place

Severity = Literal["error", "warning", "notice"]
"""``error``: something is wrong. ``warning``: something is slow, missing or doubtful. ``notice``: nothing is
wrong, but it is good to know."""


class FindingFacts(Protocol):
    """What every finding tells."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""

    @property
    def rule(self) -> str:
        """Name of what is violated, such as ``unit`` or ``drift``."""

    @property
    def subject(self) -> str:
        """What it is about, such as ``cat.Star.flux`` or ``dataset type raw``; may be empty."""

    @property
    def problem(self) -> str:
        """What was found."""

    @property
    def remedy(self) -> str:
        """What to do; may be empty."""

    @property
    def place(self) -> Place | None:
        """File and line, or view, that it was found in."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found; attributes as of `FindingFacts`."""

    severity: Severity
    rule: str
    subject: str
    problem: str
    remedy: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        return finding_text(self)


def finding_text(one: FindingFacts) -> str:
    """Return a finding in one line: ``place: severity: subject: problem; remedy [rule]``."""
    said = f"{one.problem}; {one.remedy}" if one.remedy else one.problem
    parts = (str(one.place or ""), one.severity, one.subject, said)
    return ": ".join(filter(None, parts)) + f" [{one.rule}]"


def fails(findings: Iterable[FindingFacts], *, strict: bool = False) -> bool:
    """Return whether a check fails, exit code 1: for an error, and with ``strict`` for a warning too."""
    bad = {"error", "warning"} if strict else {"error"}
    return any(one.severity in bad for one in findings)
