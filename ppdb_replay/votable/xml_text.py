"""XML that comes back as it was written: attributes with line ends, and no character that XML cannot hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement

from ppdb_replay.publication_errors import VotableWriteError

__all__ = ["add", "attributes_as_read", "require_characters"]

# XML 1.0 section 2.2. Tabs and line ends are written as references, which no parser turns into spaces.
_FOREIGN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NORMALISED = str.maketrans("\t\n\r", "   ")


def add(parent: Element, tag: str, attributes: Mapping[str, str | None], text: str | None = None) -> Element:
    """Add an element to another one and return it.

    Parameters
    ----------
    parent
        Where it goes.
    tag
        Its name in VOTable.
    attributes
        Its attributes; those that are `None` are left out.
    text
        Its content.

    Raises
    ------
    VotableWriteError
        A character cannot be in XML.
    """
    for name, value in (*attributes.items(), ("content", text)):
        require_characters(value or "", f"{tag} {attributes.get('name') or ''} ({name})")
    known = {name: value for name, value in attributes.items() if value is not None}
    element = SubElement(parent, tag, known)
    element.text = text
    return element


def require_characters(text: str, what: str) -> None:
    """Raise an error if a text cannot be in XML 1.0 as it is.

    Raises
    ------
    VotableWriteError
        It holds a control character, half of a surrogate pair, U+FFFE or U+FFFF.
    """
    found = _FOREIGN.search(text)
    if found is not None:
        raise VotableWriteError(
            what, f"character U+{ord(found[0]):04X} at {found.start() + 1} is none of XML 1.0"
        )


def attributes_as_read(value: str) -> str:
    """Return what is left of an attribute that was written with its line ends as they are.

    Other software does so: then the parser returns spaces (XML 1.0 section 3.3.3).
    """
    return value.replace("\r\n", "\n").translate(_NORMALISED)
