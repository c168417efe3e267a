"""How the service is set up: ``TAPDB_*`` variables, beside those that say where the database is."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from tapdb.settings import FROM_ENVIRONMENT, read_environment

Network = IPv4Network | IPv6Network
Auth = Literal["none", "proxy", "token"]

_MAX_SECONDS = 7 * 24 * 3600


def _path(text: str) -> str:
    """Return the path of a service as ``/a/b``, or empty."""
    stripped = text.strip("/")
    return f"/{stripped}" if stripped else ""


def _without_slash(text: str) -> str:
    return text.rstrip("/")


class ServiceSettings(BaseSettings):
    """Settings of the service as the environment gives them."""

    model_config = FROM_ENVIRONMENT

    auth: Auth = Field(
        default="none",
        description="Who may ask. none: everybody. proxy: whom a trusted proxy names in a header. "
        "token: who sends a bearer token of a file.",
    )
    auth_header: str = Field(
        default="X-Auth-Request-User",
        pattern=r"^[A-Za-z0-9-]+$",
        description="Header in which the proxy names the user, as Gafaelfawr does.",
    )
    token_file: Path | None = Field(
        default=None,
        description="File of bearer tokens: in each line a user and sha256:HEX of the token, or the token.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="Addresses or networks, separated by commas, whose X-Forwarded-* and user header count.",
    )
    root_path: Annotated[str, AfterValidator(_path)] = Field(
        default="", description="Path under which a proxy offers the service, such as /archive."
    )
    base_url: Annotated[str, AfterValidator(_without_slash)] = Field(
        default="",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        description="URL of the service as clients see it; without it what each request says.",
    )
    role: str = Field(
        default="tapdb_reader",
        description="Role in which queries run; the user of the database has to be a member of it.",
    )
    quota_file: Path | None = Field(
        default=None,
        description="YAML file with quotas of single users: queries, rows, seconds and bytes by name.",
    )
    queries: int = Field(
        default=16, ge=1, le=1000, description="Queries that one process runs at once: its connections."
    )
    user_queries: int = Field(
        default=8, ge=1, le=1000, description="Queries of one user that one process runs at once."
    )
    queue: int = Field(
        default=100, ge=0, le=100_000, description="Queries that wait; past it the answer is 503."
    )
    queue_seconds: float = Field(
        default=60.0,
        gt=0,
        le=_MAX_SECONDS,
        description="Seconds that a query waits before the answer is 503.",
    )
    dialect: Literal["strict", "rubin"] = Field(
        default="rubin",
        description="What is tolerated beyond ADQL 2.1; rubin has scisql_* functions and AS distance.",
    )
    maxrec: int = Field(default=100_000, ge=0, description="Rows of a query that does not say MAXREC.")
    max_rows: int = Field(default=10_000_000, ge=1, description="Maximum number of rows of a query.")
    max_seconds: int = Field(
        default=300, ge=1, le=_MAX_SECONDS, description="Maximum number of seconds that a query may take."
    )
    max_bytes: int = Field(
        default=20_000_000_000, ge=1, description="Maximum size of a result, in bytes as it is sent."
    )
    upload_bytes: int = Field(
        default=100_000_000, ge=1, description="Maximum size of a request with its uploads, in bytes."
    )
    gzip: bool = Field(default=True, description="Whether results are compressed for clients that accept it.")
    cors_origins: str = Field(
        default="*", description="Origins, separated by commas, whose pages may use the service; * is all."
    )
    log_form: Literal["json", "text"] = Field(
        default="json", description="Whether a line of the log is JSON or for people."
    )
    stop_seconds: int = Field(
        default=30,
        ge=0,
        le=_MAX_SECONDS,
        description="Seconds that running queries have when the service stops.",
    )
    workers: int = Field(default=1, ge=1, le=256, description="Number of processes that answer.")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())

    @property
    def origins(self) -> list[str]:
        """Origins whose pages may use the service."""
        return [one.strip() for one in self.cors_origins.split(",") if one.strip()]


def read_service_settings() -> ServiceSettings:
    """Return the settings that the environment holds.

    Raises
    ------
    SettingsError
        Raised if a variable has a value that cannot be used; the message names the variable.
    """
    return read_environment(ServiceSettings)
