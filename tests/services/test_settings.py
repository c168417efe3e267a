"""Settings by variable, statuses by error, features by name: tables that say what the service does."""

from __future__ import annotations

from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from services.errors import BusyError, ParameterError, status_of
from services.settings import ServiceSettings, read_service_settings
from services.tap.documents import Abilities, capabilities_document
from tap_query.errors import QueryFailedError
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
        ("base_url", "ftp://example.org"),
        ("base_url", "https://example.org/?x"),
        ("trusted_proxies", "10.0.0.0/33"),
        ("queue_seconds", "nan"),
        ("gzip", "perhaps"),
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


def test_help_explains_every_variable() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"]).stdout
    assert [name for name in ServiceSettings.model_fields if f"TAPDB_{name.upper()} " not in text] == []


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("AdqlError", 400),
        ("AdqlNameError", 400),
        ("UploadError", 400),
        ("UploadRefusedError", 400),
        ("UploadTooLargeError", 413),
        ("ResultTooLargeError", 400),
        ("JobParameterError", 400),
        ("JobRefusedError", 403),
        ("JobUnknownError", 404),
        ("TooManyJobsError", 503),
        ("ValueWriteError", 400),
        ("DatabaseUnavailableError", 503),
        ("MissingTapSchemaError", 503),
        ("RightRefusedError", 500),
        ("SettingsError", 500),
    ],
)
def test_an_error_of_a_package_has_a_status(name: str, status: int) -> None:
    for package in ("obscore_view", "tap_schema", "tapdb.postgres.engine"):
        import_module(package)
    (kind,) = (one for one in _classes(TapdbError) if one.__name__ == name)
    assert status_of(kind.__new__(kind)) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueryFailedError("x", "57014"), 400),
        (QueryFailedError("x", "22012"), 400),
        (QueryFailedError("x", "53100"), 500),
        (BusyError("x", 1), 503),
        (ParameterError("x", "y", "z"), 400),
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
