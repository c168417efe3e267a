"""The smallest configuration that publishes something, to which tests add what they are about."""

from __future__ import annotations

import re
from textwrap import dedent

__all__ = ["MINIMAL", "with_keys"]

MINIMAL = """\
facility_name: Rubin:Simonyi
obs_collection: LSST.Test
obs_publisher_did_fmt: ivo://org.example/test?repo=test&id={id}
collections: [test]
dataset_types:
  raw:
    dataproduct_type: image
    calib_level: 1
    obs_id_fmt: "{records[exposure].obs_id}"
"""


def with_keys(*changes: str) -> str:
    """Return the minimal configuration with top-level keys added or replaced."""
    text = MINIMAL
    for change in map(dedent, changes):
        key = change.partition(":")[0].strip()
        text = re.sub(rf"^{key}:.*\n(?:[ -].*\n)*", "", text, flags=re.MULTILINE) + change.lstrip("\n") + "\n"
    return text
