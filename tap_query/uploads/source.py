"""The parameter UPLOAD (TAP 1.1 section 2.5), and the files that it names: in the request or on other hosts.

A URL of a stranger is fetched by a machine that may reach what the stranger cannot: it connects only to hosts
that the operator has named, at the addresses that were checked, and no redirection leads to another host.
"""

import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from tempfile import SpooledTemporaryFile
from time import monotonic
from typing import IO
from urllib.parse import SplitResult, urljoin, urlsplit

from adql.words import RESERVED_WORDS
from tap_query.errors import UploadError, UploadRefusedError, UploadTooLargeError

_ITEM = re.compile(r'\s*("(?:[^"]|"")*"|[^,;"]*?)\s*,\s*([^;]*?)\s*(;|$)')
_REGULAR = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST_NAME = 128
_LONGEST_URI = 2048
_NOT_IN_URI = re.compile(r"[^\x21-\x7e]")
_OF_USER = re.compile(r"//.*@", re.DOTALL)
_PORTS = {"http": 80, "https": 443}
_REDIRECTIONS = frozenset((301, 302, 303, 307, 308))
_OK = 200
_PIECE = 65536
_IN_MEMORY = 1_000_000
# Translators hand what is sent there to the IPv4 address in the last 32 bits (RFC 6052).
_TRANSLATED = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Upload:
    """One table of the parameter UPLOAD.

    Parameters
    ----------
    name
        Name after ``TAP_UPLOAD.``, without double quotes.
    uri
        Where it is: ``param:NAME`` for a part of the request, or a URL.
    """

    name: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """From where tables are fetched, and how much.

    Parameters
    ----------
    hosts
        Names of hosts, or addresses, each with ``:PORT`` if it is not the usual one. Without any, all URLs
        are refused.
    allows_private
        Whether hosts may have addresses of private networks and of this machine.
    max_bytes
        Size of what is fetched.
    seconds
        Time for all of it.
    max_redirections
        How many redirections are followed, on the same host.
    """

    hosts: frozenset[str] = frozenset()
    allows_private: bool = False
    max_bytes: int = 100_000_000
    seconds: float = 60.0
    max_redirections: int = 3


def parse_upload_parameter(*texts: str) -> tuple[Upload, ...]:
    """Return the tables that the parameter UPLOAD names.

    Parameters
    ----------
    texts
        Values of the parameter: a request may repeat it.

    Raises
    ------
    UploadError
        Raised if a value has another form than ``name,uri;name,uri``, a name cannot be that of a table, or
        two names are equal.

    Examples
    --------
    >>> parse_upload_parameter("mine,param:table1;theirs,https://example.org/x.vot")
    (Upload(name='mine', uri='param:table1'), Upload(name='theirs', uri='https://example.org/x.vot'))
    """
    uploads = tuple(upload for text in texts for upload in _items(text))
    names: dict[str, str] = {}
    for upload in uploads:
        other = names.setdefault(upload.name.lower(), upload.name)
        if other is not upload.name:
            raise UploadError(upload.name, f"the name of {other} is the same", "give each table a name")
    return uploads


def _items(text: str) -> Iterator[Upload]:
    place = 0
    while place < len(text):
        found = _ITEM.match(text, place)
        if found is None:
            if not text[place:].strip():
                return
            raise UploadError(
                "UPLOAD",
                f"{_shown(text[place:])!r} is not of the form name,uri",
                "separate tables by semicolons",
            )
        place = found.end()
        yield Upload(_table_name(found[1]), _uri(found[1], found[2]))


def _table_name(written: str) -> str:
    """Return the name of a table as a query finds it."""
    shown = written[:60]
    if written.startswith('"'):
        name = written[1:-1].replace('""', '"')
        if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise UploadError("UPLOAD", f"{shown} cannot be the name of a table")
        return name
    if written.upper().startswith("TAP_UPLOAD."):
        raise UploadError("UPLOAD", f"{shown} has a schema", "write the name alone; queries add TAP_UPLOAD")
    if not _REGULAR.fullmatch(written) or len(written) > _LONGEST_NAME:
        raise UploadError(
            "UPLOAD",
            f"{shown!r} cannot be the name of a table",
            "take letters, digits and underscores, a letter first",
        )
    if written.upper() in RESERVED_WORDS:
        raise UploadError(written, "the name is a reserved word of ADQL", "take another one")
    return written


def _shown(text: str) -> str:
    """Return the begin of a text that may be a URL, without the user and password in it."""
    return _OF_USER.sub("//...@", text)[:60]


def _uri(name: str, uri: str) -> str:
    if not uri or len(uri) > _LONGEST_URI or _NOT_IN_URI.search(uri):
        raise UploadError(name, f"{_shown(uri)!r} is no URI", "write param:NAME, or a URL with %-escapes")
    return uri


@contextmanager
def open_upload(
    upload: Upload, parts: Mapping[str, IO[bytes]], policy: FetchPolicy = FetchPolicy()
) -> Iterator[IO[bytes]]:
    """Open the file of an upload.

    Parameters
    ----------
    upload
        One of `parse_upload_parameter`.
    parts
        Files that came with the request, by the name that ``param:`` has.
    policy
        From where URLs are fetched.

    Raises
    ------
    UploadError
        Raised if there is no such part, or the URL cannot be fetched.
    UploadRefusedError
        Raised if the operator does not allow the URL.
    UploadTooLargeError
        Raised if there is more than the policy allows.
    """
    scheme, _, rest = upload.uri.partition(":")
    if scheme.lower() == "param":
        part = parts.get(rest)
        if part is None:
            there = ", ".join(sorted(parts)) or "no file"
            raise UploadError(upload.name, f"the request has no part {rest[:60]!r}", f"it has {there[:200]}")
        yield part
        return
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        _fetch(upload, policy, file)
        file.seek(0)
        yield file


def _fetch(upload: Upload, policy: FetchPolicy, file: IO[bytes]) -> None:
    url = upload.uri
    deadline = monotonic() + policy.seconds
    for _ in range(policy.max_redirections + 1):
        place = _Place.of(upload, url, policy)
        following = _fetch_once(upload, place, policy, deadline, file)
        if following is None:
            return
        target = urljoin(url, following)
        split = urlsplit(target) if not _NOT_IN_URI.search(target) else SplitResult("", "", "", "", "")
        if split.hostname != place.host or (place.scheme, split.scheme.lower()) == ("https", "http"):
            raise UploadRefusedError(
                upload.name, f"{place} leads to another place", "give the URL at which the table is"
            )
        url = target
    raise UploadRefusedError(upload.name, f"{url[:60]} leads on more than {policy.max_redirections} times")


@dataclass(frozen=True, slots=True)
class _Place:
    """What of a URL says where to connect."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        usual = self.port == _PORTS[self.scheme]
        return f"{self.scheme}://{self.host}{'' if usual else f':{self.port}'}"

    @classmethod
    def of(cls, upload: Upload, url: str, policy: FetchPolicy) -> "_Place":
        """Return the place of a URL that is allowed.

        Raises
        ------
        UploadRefusedError
            Raised if it is not.
        """
        try:
            split = urlsplit(url)
            port, host = split.port, split.hostname
        except ValueError as error:
            raise UploadError(upload.name, f"{_shown(url)!r} is no URL: {error}") from error
        scheme = split.scheme.lower()
        if scheme not in _PORTS or not host or split.username is not None or split.password is not None:
            raise UploadRefusedError(
                upload.name,
                f"{scheme[:20] or _shown(url)[:20]}: is fetched from nowhere"
                if scheme not in _PORTS
                else "a URL has a host, and no user and no password",
                "send the table with the request: param:NAME",
            )
        place = cls(
            scheme, host, port or _PORTS[scheme], split._replace(scheme="", netloc="", fragment="").geturl()
        )
        named = f"{host}:{place.port}"
        allowed = {name.lower() for name in policy.hosts}
        if named not in allowed and not (place.port == _PORTS[scheme] and host in allowed):
            shown = ", ".join(sorted(allowed)) or "no host"
            raise UploadRefusedError(
                upload.name,
                f"nothing is fetched from {str(place)[:100]}, but from {shown}",
                "send the table with the request: param:NAME",
            )
        return place


def _fetch_once(
    upload: Upload, place: _Place, policy: FetchPolicy, deadline: float, file: IO[bytes]
) -> str | None:
    """Write what is at a place to a file, or return where it leads."""
    connection = _Connection(place, _addresses(upload, place, policy), deadline)
    # A server may send a byte now and then: no limit of a single read ends that.
    clock = threading.Timer(max(deadline - monotonic(), 0.0), connection.stop)
    clock.daemon = True
    clock.start()
    try:
        with closing(connection):
            headers = {"Accept": "application/x-votable+xml, text/xml, */*", "Accept-Encoding": "identity"}
            connection.request("GET", place.path or "/", headers=headers)
            with connection.getresponse() as response:
                if response.status in _REDIRECTIONS:
                    return response.headers.get("Location") or ""
                if response.status != _OK:
                    raise UploadError(
                        upload.name, f"{place} answers {response.status} {response.reason[:60]}"
                    )
                _copy(upload, response, policy, file)
            # Without a length, an answer that was cut off looks like a whole one.
            connection.require_time()
            return None
    except (OSError, HTTPException) as error:
        reason = f"it took more than {policy.seconds:g} s" if connection.is_stopped else str(error)[:200]
        raise UploadError(upload.name, f"{place} cannot be read: {reason}") from error
    finally:
        clock.cancel()


def _copy(upload: Upload, response: HTTPResponse, policy: FetchPolicy, file: IO[bytes]) -> None:
    length = response.length
    size = int(length or 0)
    while size <= policy.max_bytes and (piece := response.read(_PIECE)):
        size = max(size, file.tell() + len(piece))
        file.write(piece)
    if size > policy.max_bytes:
        raise UploadTooLargeError(upload.name, f"it has more than {policy.max_bytes} bytes")
    if length is not None and file.tell() != length:
        raise UploadError(upload.name, f"{file.tell()} of {length} bytes have come", "try it once more")


class _Connection(HTTPConnection):
    """A connection to an address that was checked, with the name of the host in TLS and in the request.

    Parameters
    ----------
    place
        Where the URL goes.
    addresses
        Addresses of the host; the first that answers is taken.
    deadline
        When it has to be done, by the monotonic clock.
    """

    def __init__(self, place: _Place, addresses: list[str], deadline: float) -> None:
        self.default_port = _PORTS[place.scheme]
        super().__init__(place.host, place.port)
        self.is_stopped = False
        # Of an answer without a length, the connection forgets its socket when it reads the head.
        self._wire: socket.socket | None = None
        self._addresses = addresses
        self._deadline = deadline
        self._tls = ssl.create_default_context() if place.scheme == "https" else None

    def connect(self) -> None:
        """Connect to an address, without looking it up once more."""
        *others, last = self._addresses
        for address in others:
            with suppress(OSError):
                self._connect(address)
                break
        else:
            self._connect(last)
        if self._tls is not None:
            self.sock = self._wire = self._tls.wrap_socket(self.sock, server_hostname=self.host)

    def _connect(self, address: str) -> None:
        self.sock = self._wire = socket.create_connection((address, self.port), timeout=self.require_time())

    def require_time(self) -> float:
        """Return how many seconds are left.

        Raises
        ------
        TimeoutError
            Raised if none are.
        """
        left = self._deadline - monotonic()
        if self.is_stopped or left <= 0:
            self.is_stopped = True
            raise TimeoutError
        return left

    def stop(self) -> None:
        """End what waits for the other side."""
        self.is_stopped = True
        if self._wire is not None:
            # It may have ended by itself.
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)


def _addresses(upload: Upload, place: _Place, policy: FetchPolicy) -> list[str]:
    """Return the addresses of a host, all of which must be allowed."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UploadError(upload.name, f"{place} is not found: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not policy.allows_private and not all(map(is_public, addresses)):
        raise UploadRefusedError(
            upload.name,
            f"{place} is in a private network",
            "let the operator allow it, or send the table with the request: param:NAME",
        )
    return addresses


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet, also where it carries another one inside."""
    found: IPv4Address | IPv6Address | None = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        carried = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in _TRANSLATED:
            carried = IPv4Address(int(found) & 0xFFFFFFFF)
        found = carried or found
    return found is not None and found.is_global and not found.is_multicast
