"""Settings by variable, statuses by error, features by name: tables that say what the service does."""

from __future__ import annotations

import asyncio
import socket
from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.requests import Request

from services.application import answer_error
from services.errors import (
    BusyError,
    ComparisonTooLargeError,
    ParameterError,
    PublishedMissingError,
    TokensUnreadableError,
    status_of,
)
from services.gate import FACTS
from services.settings import ServiceSettings, read_service_settings
from services.tap.documents import Abilities, capabilities_document
from services.tap.jobs import AsyncJobs, routes
from tap_query.errors import QueryFailedError
from tap_query.jobs.files import JobFiles
from tap_query.jobs.wait import PhaseChanges
from tapdb.cli.root import main
from tapdb.errors import SettingsError, TapdbError


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("queries", "20", 20),
        ("auth", "token", "token"),
        ("gzip", "false", False),
        ("token_file", "/etc/tokens", Path("/etc/tokens")),
        ("root_path", "archive/", "/archive"),
        ("root_path", "/", ""),
        ("base_url", "https://example.org/archive/", "https://example.org/archive"),
        ("trusted_proxies", "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ("upload_hosts", "example.org, localhost:8080", ("example.org", "localhost:8080")),
        ("jobs", "elsewhere", "elsewhere"),
        (
            "datastores",
            "demo=/data/demo/, dp1 = s3://bucket/dp1,demo=https://example.org",
            (("demo", "/data/demo"), ("dp1", "s3://bucket/dp1"), ("demo", "https://example.org")),
        ),
        ("group_roles", "g_a=one, g_b = two", (("g_a", "one"), ("g_b", "two"))),
        ("group_header", "X-Groups", "X-Groups"),
        ("group_file", "/etc/groups.yaml", Path("/etc/groups.yaml")),
        ("file_seconds", "20", 20),
        ("signing_key_file", "/etc/key", Path("/etc/key")),
        ("sia_table", "oga.ObsCore", "oga.ObsCore"),
        ("site", "/srv/docs", Path("/srv/docs")),
        ("lake", "s3://bucket/lake", "s3://bucket/lake"),
        ("trusted_proxies", "", ServiceSettings.model_fields["trusted_proxies"].default),
    ],
)
def test_a_variable_sets_what_it_names(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    monkeypatch.setenv(f"TAPDB_{name.upper()}", text)
    assert getattr(read_service_settings(), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("queries", "0"),
        ("auth", "everybody"),
        ("auth_header", "X: y\r\nZ"),
        ("group_header", "X: y\r\nZ"),
        ("group_roles", "g_a"),
        ("group_roles", "=one"),
        ("base_url", "ftp://example.org"),
        ("base_url", "https://example.org/?x"),
        ("trusted_proxies", "10.0.0.0/33"),
        ("queue_seconds", "nan"),
        ("gzip", "perhaps"),
        ("datastores", "/data/demo"),
        ("datastores", "demo=data"),
        ("datastores", "demo=ftp://example.org"),
        ("datastores", "demo=https://user:password@example.org/x"),
        ("file_seconds", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"TAPDB_{name.upper()}", text)
    with pytest.raises(SettingsError, match=rf"^TAPDB_{name.upper()}: "):
        read_service_settings()
    done = CliRunner().invoke(main, ["serve"])
    assert (done.exit_code, f"TAPDB_{name.upper()}" in done.stderr) == (2, True)


def test_a_password_in_the_url_of_a_datastore_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAPDB_DATASTORES", "demo=https://user:password@example.org/x")
    done = CliRunner().invoke(main, ["serve"])
    assert (done.exit_code, "demo=...@example.org/x" in done.stderr) == (2, True)
    assert "password" not in done.stderr


def test_a_port_that_is_taken_is_said_before_anything_begins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = CliRunner().invoke(main, ["serve", "--port", port])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--port: the service cannot listen on 127.0.0.1" in done.stderr
    assert "address already in use" in done.stderr


def test_a_host_that_is_not_this_machine_is_said_before_anything_begins() -> None:
    done = CliRunner().invoke(main, ["serve", "--host", "192.0.2.1", "--port", "0"])
    assert (done.exit_code, "--host: the service cannot listen on 192.0.2.1" in done.stderr) == (2, True)


def test_a_folder_of_jobs_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    JobFiles(tmp_path / "new" / "jobs").check()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "jobs", Path("/proc/jobs")):
        with pytest.raises(SettingsError, match=f"^TAPDB_JOBS_DIRECTORY: {folder} cannot be written to"):
            JobFiles(folder).check()
    assert [path.name for path in (tmp_path / "new" / "jobs").iterdir()] == ["folder"]


def test_a_fault_of_the_service_is_in_the_log_and_its_number_in_the_answer() -> None:
    facts = {"id": "0123"}
    request = Request({"type": "http", "headers": [], FACTS: facts})
    error = SettingsError("TAPDB_TOKEN_FILE", "/etc/secret cannot be read")
    response = asyncio.run(answer_error(request, error))
    assert (response.status_code, b"0123" in response.body, b"secret" in response.body) == (500, True, False)
    assert facts["error"] == str(error)
    wrong = asyncio.run(answer_error(request, ParameterError("QUERY", "is missing", "send one")))
    assert (wrong.status_code, b"QUERY: is missing; send one" in wrong.body) == (400, True)


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/async", {"GET", "HEAD", "POST"}), ("/async/x", {"GET", "HEAD", "POST", "DELETE"})],
)
def test_a_method_that_does_not_fit_is_told_all_that_do(tmp_path: Path, path: str, methods: set[str]) -> None:
    nowhere = sa.make_url("postgresql+psycopg://127.0.0.1:9/none")
    jobs = AsyncJobs(sa.create_engine(nowhere), JobFiles(tmp_path), PhaseChanges(nowhere))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=routes(jobs)))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.put(path)

    response = asyncio.run(send())
    assert (response.status_code, set(response.headers["allow"].split(", "))) == (405, methods)


def test_help_explains_every_variable() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"]).stdout
    assert [name for name in ServiceSettings.model_fields if f"TAPDB_{name.upper()} " not in text] == []


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("AdqlError", 400),
        ("AdqlEngineError", 400),
        ("LakeAnswerError", 400),
        ("AdqlNameError", 400),
        ("UploadError", 400),
        ("UploadRefusedError", 400),
        ("UploadTooLargeError", 413),
        ("UploadNotKeptError", 503),
        ("ResultTooLargeError", 400),
        ("SnapshotParameterError", 400),
        ("SnapshotUnknownError", 404),
        ("StoredQueryUnknownError", 404),
        ("ReplayRecordError", 400),
        ("UploadChangedError", 400),
        ("SearchParameterError", 400),
        ("JobParameterError", 400),
        ("JobRefusedError", 403),
        ("JobUnknownError", 404),
        ("TooManyJobsError", 503),
        ("ValueWriteError", 400),
        ("DatabaseUnavailableError", 503),
        ("MissingTapSchemaError", 503),
        ("NotReleasedError", 403),
        ("QueryNotWatchedError", 400),
        ("PositionError", 400),
        ("JournalLostError", 410),
        ("TooManyRowsGainedError", 400),
        ("JournalNotKeptError", 503),
        ("StandbyNotWatchedError", 503),
        ("RightsDifferError", 503),
        ("VersionsIncompleteError", 503),
        ("RightRefusedError", 500),
        ("SettingsError", 500),
    ],
)
def test_an_error_of_a_package_has_a_status(name: str, status: int) -> None:
    packages = ("obscore_view", "ppdb_replay.errors", "prompt_products.errors", "tap_schema")
    for package in (*packages, "tapdb.postgres.engine"):
        import_module(package)
    (kind,) = (one for one in _classes(TapdbError) if one.__name__ == name)
    assert status_of(kind.__new__(kind)) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueryFailedError("x", "57014"), 400),
        (QueryFailedError("x", "22012"), 400),
        (QueryFailedError("x", "53100"), 500),
        (QueryFailedError("x", "42883"), 500),
        # The server stops, has crashed, or starts; the connection is lost.
        (QueryFailedError("x", "57P01"), 503),
        (QueryFailedError("x", "57P02"), 503),
        (QueryFailedError("x", "57P03"), 503),
        (QueryFailedError("x", "08006"), 503),
        (QueryFailedError("x"), 503),
        (BusyError("x", 1), 503),
        (TokensUnreadableError("x"), 503),
        (PublishedMissingError("x"), 503),
        (ParameterError("x", "y", "z"), 400),
        (ComparisonTooLargeError(2, 1), 400),
    ],
    ids=str,
)
def test_a_failure_has_the_status_of_whose_fault_it_is(error: TapdbError, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize(
    ("feature", "form"),
    [
        ("adql-offset", "OFFSET"),
        ("adql-common-table", "WITH"),
        ("adqlgeo", "CONTAINS"),
    ],
)
def test_a_feature_is_named_in_the_capabilities(feature: str, form: str) -> None:
    text = capabilities_document(
        Abilities(url="http://x/tap", forms=(), has_obscore=False, maxrec=1, max_rows=1, seconds=(1, 1))
    ).decode()
    (found,) = (part for part in text.split("<languageFeatures ")[1:] if f'#features-{feature}"' in part)
    assert f"<form>{form}</form>" in found


def _classes(base: type[TapdbError]) -> set[type[TapdbError]]:
    return {base}.union(*map(_classes, base.__subclasses__()))
