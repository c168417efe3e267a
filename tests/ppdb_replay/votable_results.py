"""Results that are made up, and a TAP service that is just large enough for pyvo."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from adql import OutputColumn
from ppdb_replay import Guarantee, Level, RecordedResult, ReplayRecord, Snapshot
from ppdb_replay.replaying.digest import digest_of_result
from ppdb_replay.votable.writer import ResultOrigin, TapService, write_votable

__all__ = ["NASTY", "SERVICE", "as_votable", "made_up_result", "tap_service"]

NASTY = (
    "a < b > c & d ' e \" f\n\ng\r\nh\ti &lt; &#10; ]]> <!-- é ß 日本 \U0001f30c \u0085 \u2028 "
    '<STREAM encoding="base64" /> '
)
SERVICE = TapService(
    access_url="https://tap.example.org/tap/sync?a=1&b=2",
    ivoid="ivo://example.org/tap",
    publisher="Data Centre <D & C>",
    contact="https://example.org/help",
)
NUMBER = OutputColumn("n", "int")


def made_up_result(
    columns: Sequence[OutputColumn] = (NUMBER,),
    rows: Sequence[tuple[Any, ...]] = ((1,),),
    *,
    natural: str = "SELECT n FROM t",
    repeatable: str = "SELECT n FROM t WHERE n <= 1",
    max_rows: int | None = None,
) -> RecordedResult:
    """Return a result that no database returned."""
    record = ReplayRecord(
        natural=natural,
        repeatable=repeatable,
        snapshot=Snapshot(41, 61041.123456789),
        snapshot_digest="ab" * 32,
        schema_version="7",
        guarantee=Guarantee(Level.PARTIAL, ("because & so", "'why' <not>")),
        digest=digest_of_result(columns, rows),
        columns=tuple(columns),
        row_count=len(rows),
        max_rows=max_rows,
        overflow=max_rows is not None,
        uploads={"TAP_UPLOAD.mine": "sha256:00"},
        software="tapdb 0",
    )
    return RecordedResult(list(rows), record, record.digest)


def as_votable(
    result: RecordedResult, service: TapService | None = SERVICE, origin: ResultOrigin | None = None
) -> bytes:
    """Return a result as the bytes of a VOTable."""
    stream = io.BytesIO()
    write_votable(result, stream, service=service, origin=origin)
    return stream.getvalue()


@contextmanager
def tap_service(answer: Callable[[dict[str, str]], bytes]) -> Iterator[str]:
    """Give the URL of a service that answers parameters with a VOTable, on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = answer(dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-votable+xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/sync"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
