"""Options of ours that a command or a migration gives besides a configuration, written into its text."""

from __future__ import annotations

import yaml

__all__ = ["with_options"]


def with_options(text: str, **options: str | None) -> str:
    """Return a configuration's text with values in section ``tapdb``; the same text if none is given.

    What is recorded of a view is this text: a refresh finds the options again. A change loses comments.

    Parameters
    ----------
    text
        YAML text of a configuration that can be read.
    options
        Values by key, such as ``geometry``; None leaves what the text says.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return text
    content = yaml.safe_load(text) or {}
    content["tapdb"] = {**(content.get("tapdb") or {}), **given}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
