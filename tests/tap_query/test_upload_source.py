"""The parameter UPLOAD, and what is fetched for it: only what the operator allows, and no more than that."""

from __future__ import annotations

import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tap_query.errors import UploadError, UploadRefusedError, UploadTooLargeError
from tap_query.uploads.source import FetchPolicy, Upload, is_public, open_upload, parse_upload_parameter

TABLE = b"<VOTABLE/>" * 50


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["a,param:b"], [("a", "param:b")]),
        (["a,param:b;c,http://h/x?y=1&z=2,3"], [("a", "param:b"), ("c", "http://h/x?y=1&z=2,3")]),
        (["a,param:b", "c,param:d"], [("a", "param:b"), ("c", "param:d")]),
        ([" a , param:b ; "], [("a", "param:b")]),
        (['"my, ""own""; table",param:b;x,param:y'], [('my, "own"; table', "param:b"), ("x", "param:y")]),
        ([""], []),
        ([], []),
    ],
)
def test_the_parameter_names_tables(texts: list[str], wanted: list[tuple[str, str]]) -> None:
    assert parse_upload_parameter(*texts) == tuple(Upload(*one) for one in wanted)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "not of the form name,uri"),
        (";", "not of the form"),
        ("a,param:b;;c,param:d", "not of the form"),
        (",param:b", "'' cannot be the name of a table"),
        ("a,", "'' is no URI"),
        ("1a,param:b", "cannot be the name of a table; take letters"),
        ("a-b,param:b", "cannot be the name of a table"),
        ("é,param:b", "cannot be the name of a table"),
        ("_a,param:b", "cannot be the name of a table"),
        ("a" * 200 + ",param:b", "cannot be the name of a table"),
        ('"",param:b', "cannot be the name of a table"),
        ('"a\x00b",param:b', "cannot be the name of a table"),
        ('"a,param:b', "not of the form"),
        ("order,param:b", "reserved word"),
        ("Point,param:b", "reserved word"),
        ("TAP_UPLOAD.a,param:b", "has a schema; write the name alone"),
        ("a,param:b;A,param:c", "the name of a is the same"),
        ('a,param:b;"A",param:c', "the name of a is the same"),
        ("a,http://h/x y", "no URI"),
        ("a,http://h/x\r\nHost: other", "no URI"),
        ("a,http://h/" + "x" * 3000, "no URI"),
    ],
)
def test_a_parameter_of_another_form_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UploadError, match=problem) as caught:
        parse_upload_parameter(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "http://alice:secret@h/x",
        "a,http://alice:secret@h/x y",
        "a,http://alice:sec ret@h/x",
        "a,http://alice:secret/@h/x y",
        "a,//alice:secret@h/x",
        "a,http://alice:secret@[h/x",
        "a,http://alice:secret@h/x",
        "a,ftp://alice:secret@h/x",
    ],
)
def test_a_password_in_a_url_is_not_repeated(text: str) -> None:
    def fetch() -> None:
        for upload in parse_upload_parameter(text):
            with open_upload(upload, {}, FetchPolicy(hosts=frozenset({"h"}))):
                pass

    with pytest.raises(UploadError) as caught:
        fetch()
    assert [word for word in ("alice", "sec", "ret") if word in str(caught.value)] == []


def test_a_part_of_the_request_is_opened() -> None:

    part = io.BytesIO(TABLE)
    with open_upload(Upload("a", "param:b"), {"b": part}) as file:
        assert file.read() == TABLE
    with (
        pytest.raises(UploadError, match="upload a: the request has no part 'c'; it has b"),
        open_upload(Upload("a", "param:c"), {"b": part}),
    ):
        pass


# -- fetching
# ----------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    """Answers as its path says."""

    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        kind, _, rest = self.path[1:].partition("/")
        try:
            getattr(self, f"_{kind}")(rest)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has above
        """Stay quiet."""

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _table(self, _: str) -> None:
        self._head(200, Content_Length=str(len(TABLE)))
        self.wfile.write(TABLE)

    def _unsized(self, _: str) -> None:
        self._head(200)
        self.wfile.write(TABLE)

    def _to(self, target: str) -> None:
        self._head(302, Location=target.replace("PORT", str(self.server.server_port)))

    def _status(self, status: str) -> None:
        self._head(int(status), Content_Length="0")

    def _short(self, _: str) -> None:
        self._head(200, Content_Length=str(2 * len(TABLE)))
        self.wfile.write(TABLE)

    def _large(self, _: str) -> None:
        self._head(200, Content_Length=str(10**12))
        self.wfile.write(TABLE)

    def _endless(self, _: str) -> None:
        self._head(200)
        while True:
            self.wfile.write(b" " * 65536)

    def _slow(self, _: str) -> None:
        self._head(200)
        while not self.server.is_closing:
            self.wfile.write(b" ")
            time.sleep(0.05)

    def _slowhead(self, _: str) -> None:
        while not self.server.is_closing:
            self.wfile.write(b"H")
            time.sleep(0.05)


class _Server(ThreadingHTTPServer):
    """A server of this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.is_closing = False


@pytest.fixture(scope="module")
def _server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.is_closing = True
        server.shutdown()
        thread.join()


@pytest.fixture
def server(_server: _Server) -> _Server:
    """Return a server that has not been asked yet."""
    _server.asked.clear()
    return _server


def policy(server: _Server, **others: Any) -> FetchPolicy:
    hosts = frozenset((f"127.0.0.1:{server.server_port}", f"localhost:{server.server_port}"))
    return replace(FetchPolicy(hosts=hosts, allows_private=True, seconds=5), **others)


def fetched(url: str, policy: FetchPolicy) -> bytes:
    with open_upload(Upload("a", url), {}, policy) as file:
        return file.read()


def url(server: _Server, path: str, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.server_port}/{path}"


@pytest.mark.parametrize("path", ["table", "unsized", "to//table", "to/http://127.0.0.1:PORT/table"])
def test_an_allowed_url_is_fetched(path: str, server: _Server) -> None:
    assert fetched(url(server, path), policy(server)) == TABLE


def test_the_host_is_called_by_its_name(server: _Server) -> None:
    assert fetched(url(server, "table", "LocalHost"), policy(server)) == TABLE
    assert server.asked == [("/table", f"localhost:{server.server_port}")]


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "vos://cadc.nrc.ca!vault/x",
        "data:text/plain,x",
        "/etc/passwd",
        "http:///x",
        "http://user@127.0.0.1:PORT/table",
        "http://user:secret@127.0.0.1:PORT/table",
        "http://127.0.0.1/table",
        "http://127.0.0.1:1/table",
        "https://example.org/table",
        "http://127.0.0.1:PORT@example.org/table",
        "http://127.1:PORT/table",
        "http://2130706433:PORT/table",
        "http://0x7f000001:PORT/table",
        "http://[::1]:PORT/table",
        "http://[::ffff:127.0.0.1]:PORT/table",
        "http://0.0.0.0:PORT/table",
        "http://127.0.0.1.:PORT/table",
        "http://127.0.0.1%00:PORT/table",
    ],
)
def test_what_the_operator_does_not_allow_is_not_asked(target: str, server: _Server) -> None:
    target = target.replace("PORT", str(server.server_port))
    with pytest.raises(UploadRefusedError) as caught:
        fetched(target, policy(server))
    assert server.asked == []
    assert "secret" not in str(caught.value)


def test_without_allowed_hosts_nothing_is_asked(server: _Server) -> None:
    with pytest.raises(
        UploadRefusedError, match=r"nothing is fetched from .*, but from no host; send the table"
    ):
        fetched(url(server, "table"), FetchPolicy(allows_private=True))
    assert server.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_allowed_name_of_a_private_address_is_not_asked(host: str, server: _Server) -> None:
    with pytest.raises(UploadRefusedError, match="in a private network"):
        fetched(url(server, "table", host), policy(server, allows_private=False))
    assert server.asked == []


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:PORT/table",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/table",
        "https://127.0.0.1:1/table",
        "file:///etc/passwd",
        "//example.org/table",
        "http://user@127.0.0.1:PORT/table",
    ],
)
def test_a_redirection_to_another_place_is_not_followed(target: str, server: _Server) -> None:
    with pytest.raises(UploadError) as caught:
        fetched(url(server, f"to/{target.replace(' ', '%20')}"), policy(server))
    assert "/table" not in {path for path, _ in server.asked}
    assert isinstance(caught.value, UploadRefusedError) or re.search(
        "answers 404|is no URL", str(caught.value)
    )


def test_redirections_end(server: _Server) -> None:
    with pytest.raises(UploadRefusedError, match="leads on more than 3 times"):
        fetched(url(server, "to/http://127.0.0.1:PORT/to/http:%2F%2F127.0.0.1:PORT%2Fto"), policy(server))
    assert len(server.asked) <= 4


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("status/404", "answers 404"),
        ("status/500", "answers 500"),
        ("status/204", "answers 204"),
        ("short", f"{len(TABLE)} of {2 * len(TABLE)} bytes have come"),
    ],
)
def test_an_answer_that_is_no_whole_file_is_refused(path: str, problem: str, server: _Server) -> None:
    with pytest.raises(UploadError, match=problem):
        fetched(url(server, path), policy(server))


@pytest.mark.parametrize("path", ["large", "endless"])
def test_an_answer_that_is_too_large_is_not_read_on(path: str, server: _Server) -> None:
    with pytest.raises(UploadTooLargeError, match="more than 1000000 bytes"):
        fetched(url(server, path), policy(server, max_bytes=1_000_000))


@pytest.mark.parametrize("path", ["slow", "slowhead"])
def test_an_answer_that_never_ends_is_given_up(path: str, server: _Server) -> None:
    begin = time.monotonic()
    with pytest.raises(UploadError, match=r"it took more than 0\.3 s"):
        fetched(url(server, path), policy(server, seconds=0.3))
    assert time.monotonic() - begin < 3


def test_a_host_that_does_not_answer_or_is_not_there_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        place = FetchPolicy(hosts=frozenset((f"127.0.0.1:{port}",)), allows_private=True, seconds=5)
        with pytest.raises(UploadError, match=r"http://127\.0\.0\.1:\d+ cannot be read: .*refused"):
            fetched(f"http://127.0.0.1:{port}/", place)
    with pytest.raises(UploadError, match="is not found"):
        fetched("http://no.such.invalid/", FetchPolicy(hosts=frozenset(("no.such.invalid",))))


def test_a_certificate_that_nobody_vouches_for_is_refused(server: _Server) -> None:
    with pytest.raises(UploadError, match="cannot be read"):
        fetched(f"https://127.0.0.1:{server.server_port}/table", policy(server))
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.9.1",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
        ),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "240.0.0.1", "198.18.0.1"),
        *(
            "::",
            "::1",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ),
        *("2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2001:db8::1"),
    ],
)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_is_known(address: str) -> None:
    assert is_public(address)
