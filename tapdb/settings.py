"""Where the database is: an option says, else ``TAPDB_URL``, else ``DATABASE_URL``, else libpq's ``PG*``."""

import os
import re
from pathlib import Path
from typing import Literal, TypeVar

import sqlalchemy as sa
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tapdb.errors import SettingsError

DRIVER = "postgresql+psycopg"
"""SQLAlchemy's name of the one driver that tapdb uses."""

FROM_ENVIRONMENT = SettingsConfigDict(
    env_prefix="TAPDB_",
    # A shell's NAME= is how one switches a variable off.
    env_ignore_empty=True,
    extra="ignore",
    frozen=True,
    hide_input_in_errors=True,
    populate_by_name=True,
)
"""How settings are read from variables."""

_Model = TypeVar("_Model", bound=BaseSettings)

LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"

LONGEST_TIMEOUT_MS = 2**31 - 1
"""The longest ``lock_timeout`` of PostgreSQL."""

TIMEOUT_FORM = (
    f"write a whole number of milliseconds from 0 to {LONGEST_TIMEOUT_MS}, such as 3000; 0 waits without "
    "limit"
)
"""What an error says of a lock timeout that cannot be used."""

# Of every setting that can have a wrong value; none of them is a secret.
_FORMS = {
    "lock_timeout_ms": TIMEOUT_FORM,
    "log_level": f"write one of {', '.join(LOG_LEVELS)}",
}
# PGUSER and PGPASSWORD say who, not where: they complete a URL that names neither.
_NAMES_OF_LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")

_URL_FORM = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE and percent-encode @ : / ? # in the password"
_SCHEME = re.compile(r"^(?P<scheme>[a-z][a-z0-9]*)(?:\+[a-z0-9_]+)?://", re.IGNORECASE)


class Settings(BaseSettings):
    """Settings as the environment gives them."""

    model_config = FROM_ENVIRONMENT

    url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("TAPDB_URL", "DATABASE_URL"),
        description="Database to use: a URL, or a libpq connection string; without it libpq's own PG* count.",
    )
    obscore_config: Path | None = Field(
        default=None, description="ObsCore configuration (YAML) that the view is made from."
    )
    registry_schema: str | None = Field(
        default=None, description="Schema of the Butler registry; found by itself if there is just one."
    )
    jobs_directory: Path | None = Field(
        default=None,
        description="Folder for what asynchronous jobs write; the service and all of its workers share it.",
    )
    lock_timeout_ms: int = Field(
        default=3000,
        ge=0,
        le=LONGEST_TIMEOUT_MS,
        description="Milliseconds that a migration waits for a lock before it gives up; 0 is without limit.",
    )
    log_level: LogLevel = Field(
        default="warning", description="Least severe log message that the command line shows."
    )


def read_settings() -> Settings:
    """Return the settings that the environment holds.

    Raises
    ------
    SettingsError
        Raised if a variable has a value that cannot be used; the message names the variable.
    """
    return read_environment(Settings)


def read_environment(model: type[_Model]) -> _Model:
    """Return settings of one kind as the environment holds them.

    Parameters
    ----------
    model
        Class of the settings; its variables begin with ``TAPDB_``.

    Raises
    ------
    SettingsError
        Raised if a variable has a value that cannot be used; the message names the variable.
    """
    try:
        return model()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        variable = name if name.isupper() else f"TAPDB_{name.upper()}"
        if name not in _FORMS:
            raise SettingsError(variable, first["msg"]) from None
        raise SettingsError(variable, f"is {first['input']!r}", _FORMS[name]) from None


def environment_names_database() -> bool:
    """Return whether a variable of tapdb's, or one of libpq's, says where the database is.

    Raises
    ------
    SettingsError
        Raised if a variable has a value that cannot be used.
    """
    return read_settings().url is not None or any(os.environ.get(name) for name in _NAMES_OF_LIBPQ)


def database_url(explicit: str | None = None) -> sa.URL:
    """Return the URL of the database to use.

    Parameters
    ----------
    explicit
        What the user gave as an option; goes before every environment variable.

    Returns
    -------
    url
        URL with the psycopg driver. It has no host, user or database if nothing names one: libpq then reads
        ``PG*``, the service file and ``.pgpass`` when it connects.

    Raises
    ------
    SettingsError
        Raised if the text is not a PostgreSQL URL or connection string. The message never repeats it.
    """
    if explicit is not None:
        return parse_url(explicit, source="database URL")
    url = read_settings().url
    if url is None:
        return sa.URL.create(DRIVER)
    return parse_url(url.get_secret_value(), source="TAPDB_URL or DATABASE_URL")


def names_database(explicit: str | None = None) -> bool:
    """Return whether an option, a variable of the environment or a service of libpq names a database.

    Parameters
    ----------
    explicit
        What the user gave as an option.
    """
    variables = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")
    named = any(os.environ.get(name) for name in variables)
    return named or explicit is not None or read_settings().url is not None


def parse_url(text: str, *, source: str) -> sa.URL:
    """Return the SQLAlchemy URL of what libpq understands: a URL, or ``host=... dbname=...``.

    Parameters
    ----------
    text
        URL with any PostgreSQL driver (``postgres://``, ``postgresql+psycopg2://``), a connection string, or
        nothing.
    source
        What an error calls it.

    Raises
    ------
    SettingsError
        Raised if the text cannot be understood. The password may be what breaks it: none of it is repeated.
    """
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise SettingsError(source, "holds bytes that are no UTF-8", _URL_FORM)
    found = _SCHEME.match(text)
    if found:
        if found["scheme"].lower() not in {"postgres", "postgresql"}:
            # Still safe to name: the pattern admits letters and digits before "://" only.
            raise SettingsError(
                source, f"is a {found['scheme']} URL, but tapdb works on PostgreSQL", _URL_FORM
            )
        text = "postgresql://" + text[found.end() :]
    try:
        fields = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except (ProgrammingError, UnicodeDecodeError):
        raise SettingsError(source, "is not a PostgreSQL connection URL", _URL_FORM) from None
    host, port = fields.pop("host", None), fields.pop("port", None)
    database = fields.pop("dbname", None)
    if port is not None and not re.fullmatch(r"\d{1,5}(,\d{0,5})*", port):
        raise SettingsError(source, "has a port that is not a number", _URL_FORM)
    if any("@" in part for part in (host, database) if part):
        raise SettingsError(source, "has a host or a database name with @ in it", _URL_FORM)
    if (host and (host.startswith("/") or "," in host)) or (port and "," in port):
        # Socket directories and lists of hosts have no place in a URL's authority part.
        fields |= {name: value for name, value in (("host", host), ("port", port)) if value}
        host = port = None
    return sa.URL.create(
        DRIVER,
        username=fields.pop("user", None),
        password=fields.pop("password", None),
        host=host,
        port=int(port) if port else None,
        database=database,
        query=fields,
    )
