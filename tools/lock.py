"""Write requirements.lock: the version, as installed here, of each package that tapdb and its extras need."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["LOCK", "locked_versions", "needed_versions"]

LOCK = Path(__file__).parent.parent / "requirements.lock"

_PROJECT = "tapdb"
_EXTRAS = frozenset({"dev"})
# Those of Debian 12 and 13: one lock for both, with what either needs.
_PYTHONS = ("3.11.2", "3.13.5")
# The project is built in the environment itself, with the builder that the lock names.
_BUILD = ("setuptools",)


def locked_versions() -> dict[str, str]:
    """Return name and version of all that this checkout needs.

    Raises
    ------
    PackageNotFoundError
        Raised if a required package is not installed.
    """
    return needed_versions({(_PROJECT, _EXTRAS), *((name, frozenset[str]()) for name in _BUILD)})


def needed_versions(wanted: Iterable[tuple[str, frozenset[str]]]) -> dict[str, str]:
    """Return name and version of all that packages need, found by following what each declares.

    Parameters
    ----------
    wanted
        Names of packages, with the extras of each; the project itself is not in the result.

    Raises
    ------
    PackageNotFoundError
        Raised if a required package is not installed.
    """
    versions: dict[str, str] = {}
    waiting = list(wanted)
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found = distribution(name)
        versions[canonicalize_name(found.metadata["Name"])] = found.version
        for text in found.requires or ():
            requirement = Requirement(text)
            environments = [
                {"extra": extra, "python_version": python.rpartition(".")[0], "python_full_version": python}
                for extra in extras or {""}
                for python in _PYTHONS
            ]
            if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    del versions[_PROJECT]
    return dict(sorted(versions.items()))


def main() -> int:
    """Write the file."""
    try:
        versions = locked_versions()
    except PackageNotFoundError as error:
        print(f"{error.name} is required by pyproject.toml, but not installed here", file=sys.stderr)
        return 1
    LOCK.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
