"""Options of a migration, ``-x NAME=VALUE``: which there are, and what was given.

tapdb itself knows ``url`` and ``lock_timeout_ms``; jobs say which others they read (`tapdb.derived`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tapdb.errors import SettingsError, likeliest, spelled
from tapdb.hooks.derived import derived_names, known_options
from tapdb.settings import LONGEST_TIMEOUT_MS, TIMEOUT_FORM, read_settings

URL, LOCK_TIMEOUT = "url", "lock_timeout_ms"


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """What the user gave, by ``-x``, from Python or through the environment, in this order.

    Attributes
    ----------
    url
        Database; `None` if only the environment names one.
    lock_timeout_ms
        How long a statement waits for a lock, in milliseconds; 0 is without limit.
    others
        Options of the derived objects, by name.
    """

    url: str | None
    lock_timeout_ms: int
    others: Mapping[str, str]


def read_options(given: Mapping[str, str]) -> MigrationOptions:
    """Return the options of a migration: those that were given, then those of the environment.

    Parameters
    ----------
    given
        Values by name, as after ``-x``.

    Raises
    ------
    SettingsError
        Raised if a name is not known, or a value cannot be used.
    """
    _require_known(given)
    settings = read_settings()
    from_environment = {
        "registry_schema": settings.registry_schema,
        "obscore_config": settings.obscore_config,
    }
    options = {name: str(value) for name, value in from_environment.items() if value is not None}
    options |= given
    timeout = options.pop(LOCK_TIMEOUT, str(settings.lock_timeout_ms))
    if not timeout.isdecimal() or int(timeout) > LONGEST_TIMEOUT_MS:
        raise SettingsError(spelled(LOCK_TIMEOUT).rstrip("="), f"is {timeout!r}", TIMEOUT_FORM)
    return MigrationOptions(options.pop(URL, None), int(timeout), options)


def without_contradictions(given: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return options by name; what is said twice has to be the same.

    Parameters
    ----------
    given
        How each was written, such as ``-x url`` or ``--url``, its name, and its value.

    Raises
    ------
    SettingsError
        Raised if an option has two values; none of them is repeated, for one may hold a password.
    """
    values: dict[str, str] = {}
    written: dict[str, str] = {}
    for spelling, name, value in given:
        if values.setdefault(name, value) != value:
            twice = " and ".join(dict.fromkeys((written[name], spelling)))
            raise SettingsError(twice, "two values that differ", "give one of them")
        written.setdefault(name, spelling)
    return values


def spelled_after_x(name: str) -> str | None:
    """Return how an option of a migration is written after ``-x``; `None` if there is no such option."""
    return f"-x {name}=" if name in _known() else None


def _known() -> set[str]:
    return {URL, LOCK_TIMEOUT, *derived_names(), *known_options()}


def _require_known(given: Mapping[str, str]) -> None:
    switches, known = derived_names(), _known()
    for name, value in given.items():
        if name not in known:
            raise SettingsError(f"-x {name}", "is no option of a migration", likeliest(name, known))
        if name in switches and value != "off":
            problem = f"is {value!r}" if value else "has no value"
            raise SettingsError(f"-x {name}", problem, f"{name}=off leaves the objects of {name} alone")
