"""How the service is set up: ``TAPDB_*`` variables, beside those that say where the database is."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import NoDecode

from tap_query.answer import QuerySettings
from tapdb.settings import read_environment

Network = IPv4Network | IPv6Network
Auth = Literal["none", "proxy", "token"]

_MAX_SECONDS = 7 * 24 * 3600
_ROOT = re.compile(r"(file://)?/[^?#]*|s3://[^/?#]+[^?#]*|https://[^/?#@]+(/[^?#]*)?")


def _path(text: str) -> str:
    """Return the path of a service as ``/a/b``, or empty."""
    stripped = text.strip("/")
    return f"/{stripped}" if stripped else ""


class ServiceSettings(QuerySettings):
    """Settings of the service as the environment gives them."""

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
    group_header: str = Field(
        default="X-Auth-Request-Groups",
        pattern=r"^[A-Za-z0-9-]+$",
        description="Header in which the proxy names the groups of the user, separated by commas.",
    )
    group_file: Path | None = Field(
        default=None,
        description="YAML file with the groups of users, lists by name, beside those of the proxy.",
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
    quota_file: Path | None = Field(
        default=None,
        description="YAML file with quotas of single users, such as queries, rows and jobs, by name.",
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
    max_seconds: int = Field(
        default=300, ge=1, le=_MAX_SECONDS, description="Maximum number of seconds that a query may take."
    )
    gzip: bool = Field(default=True, description="Whether results are compressed for clients that accept it.")
    cors_origins: str = Field(
        default="*", description="Origins, separated by commas, whose pages may use the service; * is all."
    )
    jobs: Literal["here", "elsewhere", "none"] = Field(
        default="here",
        description="Who runs asynchronous jobs. here: a process of the service. "
        "elsewhere: tapdb queue work. none: the service has no jobs.",
    )
    job_workers: int = Field(
        default=2, ge=1, le=64, description="Jobs that the process of the service runs at once."
    )
    job_queue: int = Field(
        default=1000, ge=0, description="Jobs that may wait or run; past it the answer is 503. 0: any number."
    )
    user_jobs: int = Field(
        default=100, ge=0, description="Jobs of one user that may wait or run; 0: any number."
    )
    user_running_jobs: int = Field(
        default=2, ge=1, le=1000, description="Jobs of one user that run at once; the others wait."
    )
    job_seconds: int = Field(
        default=3600,
        ge=1,
        le=_MAX_SECONDS,
        description="Seconds that a job may run if its client says nothing.",
    )
    max_job_seconds: int = Field(
        default=86_400, ge=1, le=_MAX_SECONDS, description="Maximum number of seconds that a job may run."
    )
    job_days: int = Field(
        default=7, ge=1, le=36_500, description="Days after which a job and its result are deleted."
    )
    max_job_days: int = Field(
        default=30, ge=1, le=36_500, description="Maximum number of days that a client may keep a job."
    )
    watches: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="Queries that one process watches at once; 0: the service has no /watch.",
    )
    user_watches: int = Field(
        default=10, ge=1, le=10_000, description="Queries of one user that one process watches at once."
    )
    watch_seconds: float = Field(
        default=1.0,
        ge=0.05,
        le=_MAX_SECONDS,
        description="Seconds after which those who watch look if no commit has woken them.",
    )
    sia_table: str = Field(
        default="",
        description="Table that SIA searches; without it ivoa.ObsCore, or the only one with its columns.",
    )
    lake: str = Field(
        default="",
        description="Lake of the PPDB, a folder or s3://BUCKET/PREFIX: /lake/sync answers queries from it. "
        "Without it the service has no such path.",
    )
    datastores: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        default=(),
        description="Where files of Butler repositories lie: LABEL=ROOT, separated by commas; a root is a "
        "folder, or an s3:// or https:// URL, and a label may have several; s3://PROFILE@BUCKET "
        "takes endpoint, region and credentials of a profile of AWS.",
    )
    signing_key_file: Path | None = Field(
        default=None,
        description="File whose content signs links to files; services that share links share it. "
        "Without it a key is made when the service starts.",
    )
    file_seconds: int = Field(
        default=3600, ge=1, le=_MAX_SECONDS, description="Seconds after which a link to a file expires."
    )
    site: Path | None = Field(
        default=None,
        description="Folder of the documentation as a site, served at /docs; without it the one that comes "
        "with the package, or that `make site` has built.",
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

    @field_validator("datastores", mode="before")
    @classmethod
    def _roots(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found: list[tuple[str, str]] = []
        for part in filter(None, map(str.strip, value.split(","))):
            label, equals, root = (one.strip() for one in part.partition("="))
            if not (label and equals and _ROOT.fullmatch(root)):
                # What may be a password is not shown: clients would get it, and logs.
                shown = f"{label}=...@{root.rpartition('@')[2]}" if "@" in root else part
                raise ValueError(
                    f'"{shown}" is not LABEL=/FOLDER, LABEL=s3://BUCKET/PATH or LABEL=https://HOST/PATH'
                )
            found.append((label, root.rstrip("/") or root))
        return tuple(found)

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
