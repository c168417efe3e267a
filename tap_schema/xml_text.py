"""Characters that no XML document may hold (XML 1.0 section 2.2): no VOTable, no VOSI document."""

from __future__ import annotations

import re

__all__ = ["NOT_IN_XML", "comment_text"]

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""One such character."""


def comment_text(comment: str | None) -> str | None:
    """Return a comment of the database as a description: without blanks around it, and fit for XML."""
    if comment is None or comment.isprintable():
        # Nearly all are, and there are many.
        return (comment or "").strip() or None
    return NOT_IN_XML.sub("\ufffd", comment).strip() or None
