"""A small TAP service over `tap_query`: what validators of the VO ask, answered on a port of this machine."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import sqlalchemy as sa

from adql import Limits, parse, to_postgres
from tap_query.execute import fetch, read_server
from tap_query.metadata import read_metadata
from tap_schema.files import vosi_tables
from tap_schema.rows import TapSchemaRows
from tap_schema.stored import read_rows
from tapdb.errors import TapdbError
from tapdb.postgres.engine import driver_connection
from tapdb.votable import Document, plain_rows, write_votable, written_fields

_CAPABILITIES = """<?xml version="1.0"?>
<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
 xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<capability standardID="ivo://ivoa.net/std/VOSI#tables-1.1">
<interface xsi:type="vs:ParamHTTP" role="std" version="1.1">
<accessURL use="full">{url}/tables</accessURL></interface>
</capability>
<capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">
<interface xsi:type="vs:ParamHTTP" role="std" version="1.1">
<accessURL use="base">{url}</accessURL></interface>
<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.1">2.1</version>
<description>ADQL 2.1</description></language>
<outputFormat><mime>application/x-votable+xml</mime><alias>votable</alias></outputFormat>
</capability>
</vosi:capabilities>
"""
_ERROR = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="ERROR">{}</INFO></RESOURCE></VOTABLE>
"""
_MAX_ROWS = 1_000_000


class _Handler(BaseHTTPRequestHandler):
    """Answers to one request; the server has what it needs."""

    server: _Service

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        self._answer(split.path, split.query)

    def do_POST(self) -> None:
        self._answer(self.path, self.rfile.read(int(self.headers["Content-Length"])).decode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has above
        """Stay quiet."""

    def _answer(self, path: str, form: str) -> None:
        if path == "/tables":
            self._send("text/xml", self.server.tables)
        elif path == "/capabilities":
            self._send("text/xml", _CAPABILITIES.format(url=self.server.url).encode())
        elif path == "/sync":
            given = {name.upper(): values[0] for name, values in parse_qs(form).items()}
            self._send("application/x-votable+xml", self.server.result(given.get("QUERY", "")))
        else:
            self.send_error(404)

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Service(ThreadingHTTPServer):
    """The server, with a database and what it publishes."""

    def __init__(self, engine: sa.Engine, vosi: TapSchemaRows | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._engine = engine
        with engine.connect() as connection:
            self._metadata, self._server = read_metadata(connection), read_server(connection)
            self.tables = "".join(vosi_tables(vosi or read_rows(connection))).encode()

    def result(self, query: str) -> bytes:
        """Return the VOTable that a query gives."""
        written = io.BytesIO()
        try:
            compiled = to_postgres(
                parse(query), self._metadata, Limits(max_rows=_MAX_ROWS), server=self._server
            )
            with self._engine.connect() as connection:
                rows = fetch(driver_connection(connection), compiled, max_rows=_MAX_ROWS)
            values = list(plain_rows(rows.columns, rows.rows))
            overflow = (("QUERY_STATUS", "OVERFLOW"),) if rows.overflow else ()
            document = Document(columns=written_fields(rows.columns, values), row_count=len(values))
            write_votable(document, values, written, after=lambda: overflow)
        except TapdbError as error:
            return _ERROR.format(escape(str(error))).encode()
        return written.getvalue()


@contextmanager
def tap_service(engine: sa.Engine, vosi: TapSchemaRows | None = None) -> Iterator[str]:
    """Serve what a database publishes; gives the URL.

    Parameters
    ----------
    engine
        Engine of the database.
    vosi
        What the VOSI document says; what is published if it is not given.
    """
    with _Service(engine, vosi) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        try:
            yield service.url
        finally:
            service.shutdown()
            thread.join()
