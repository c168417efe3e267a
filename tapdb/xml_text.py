"""XML that comes back as it was written: line ends of attributes, and no character that XML cannot hold."""

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement
from xml.sax.saxutils import escape

from tapdb.errors import ValueWriteError

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that no XML document may hold (XML 1.0 section 2.2)."""

_NORMALISED = str.maketrans("\t\n\r", "   ")
# A parser makes a line feed of a carriage return, but for one that is written as a reference.
_REFERENCES = {"\r": "&#13;"}


def comment_text(comment: str | None) -> str | None:
    """Return a comment of the database as a description: without blanks around it, and fit for XML."""
    if comment is None or comment.isprintable():
        # Nearly all are, and there are many.
        return (comment or "").strip() or None
    return NOT_IN_XML.sub("\ufffd", comment).strip() or None


def content_text(text: str, what: str) -> str:
    """Return a text as the content of an element.

    Parameters
    ----------
    text
        The text.
    what
        What holds it, for the error.

    Raises
    ------
    ValueWriteError
        Raised if a character cannot be in XML.
    """
    if not text.isprintable():
        require_characters(text, what)
    return escape(text, _REFERENCES)


def add_element(
    parent: Element, tag: str, attributes: Mapping[str, str | None], text: str | None = None
) -> Element:
    """Add an element to another one and return it.

    Parameters
    ----------
    parent
        Where it goes.
    tag
        Its name.
    attributes
        Its attributes; those that are `None` or empty are left out, but for ``value``.
    text
        Its content.

    Raises
    ------
    ValueWriteError
        Raised if a character cannot be in XML.
    """
    for name, value in (*attributes.items(), ("content", text)):
        # What can be printed can be in XML, and nearly all can.
        if value and not value.isprintable():
            require_characters(value, f"{tag} {attributes.get('name') or ''} ({name})")
    known = {name: value for name, value in attributes.items() if value or (name == "value" and value == "")}
    element = SubElement(parent, tag, known)
    element.text = text
    return element


def require_characters(text: str, what: str) -> None:
    """Raise an error if a text cannot be in XML 1.0 as it is.

    Raises
    ------
    ValueWriteError
        Raised for a control character, half of a surrogate pair, U+FFFE and U+FFFF.
    """
    found = NOT_IN_XML.search(text)
    if found is not None:
        raise ValueWriteError(
            what,
            f"character U+{ord(found[0]):04X} at {found.start() + 1} is not allowed in XML 1.0",
            "choose another format",
        )


def attributes_as_read(value: str) -> str:
    """Return what is left of an attribute that was written with its line ends as they are.

    Other software does so: then the parser returns spaces (XML 1.0 section 3.3.3).
    """
    return value.replace("\r\n", "\n").translate(_NORMALISED)
