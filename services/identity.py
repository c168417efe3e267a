"""Who sends a request: everybody, whom a trusted proxy names, or who has a bearer token."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from threading import Lock

import yaml
from pydantic import TypeAdapter, ValidationError
from starlette.requests import HTTPConnection

from services.errors import TokensUnreadableError, UnauthenticatedError
from services.settings import Network, ServiceSettings
from tapdb.errors import SettingsError

_HASHED = re.compile(r"sha256:(?P<digest>[0-9a-fA-F]{64})")
_TOKEN = re.compile(r"[\x21-\x7e]{16,}")
_LONGEST_NAME = 200

COOKIE = "tapdb-login"
"""Cookie in which a browser that has logged in keeps its token: no script sees it, no other site sends it."""


@dataclass(frozen=True, slots=True)
class User:
    """Who sends a request.

    Parameters
    ----------
    name
        Name; None of somebody whom nobody has named.
    address
        Address of the client: quotas of users without a name are those of their address.
    groups
        Groups of the user: they decide what is seen before its release.
    """

    name: str | None
    address: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """What tells this user from others."""
        return f"user {self.name}" if self.name is not None else f"address {self.address}"


class BearerTokens:
    """Users by bearer token, read from a file whenever it has changed.

    Parameters
    ----------
    path
        The file: in each line a user, blanks, and ``sha256:HEX`` of a token or the token itself.

    Raises
    ------
    SettingsError
        Raised if the file cannot be read or has another form; no token is shown.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._stamp: tuple[int, int] | None = None
        self._users: Mapping[bytes, str] = {}
        self._read()

    def user_of(self, token: str) -> str | None:
        """Return who has a token; None if nobody has.

        Raises
        ------
        TokensUnreadableError
            Raised if the file is gone, or has another form by now.
        """
        try:
            self._read()
        except SettingsError as error:
            raise TokensUnreadableError(str(error)) from error
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        # Each is compared: how long it takes says nothing of where they differ.
        found = [user for known, user in self._users.items() if hmac.compare_digest(known, digest)]
        return found[0] if found else None

    def _read(self) -> None:
        with self._lock:
            try:
                state = self._path.stat()
                if (stamp := (state.st_mtime_ns, state.st_size)) == self._stamp:
                    return
                lines = self._path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
                raise SettingsError("TAPDB_TOKEN_FILE", f"{self._path} cannot be read: {reason}") from error
            self._users = dict(
                self._parse(number, line)
                for number, line in enumerate(lines, 1)
                if line.strip() and not line.lstrip().startswith("#")
            )
            self._stamp = stamp

    def _parse(self, number: int, line: str) -> tuple[bytes, str]:
        parts = line.split()
        if len(parts) == 2:  # noqa: PLR2004  a user and a token
            user, token = parts
            if hashed := _HASHED.fullmatch(token):
                return bytes.fromhex(hashed["digest"]), user
            if _TOKEN.fullmatch(token):
                return sha256(token.encode()).digest(), user
        raise SettingsError(
            "TAPDB_TOKEN_FILE",
            f"line {number} of {self._path} is not of the form USER TOKEN",
            "write a name, a blank, and sha256:HEX of the token or a token of at least 16 characters",
        )


def read_groups(path: Path) -> Mapping[str, frozenset[str]]:
    """Return the groups of users from a YAML file.

    Parameters
    ----------
    path
        The file: a list of groups by name of the user.

    Raises
    ------
    SettingsError
        Raised if the file cannot be read or has another form.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {user: frozenset(groups) for user, groups in _GROUPS.validate_python(content).items()}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingsError("TAPDB_GROUP_FILE", f"{path} cannot be read: {reason}") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise SettingsError(
            "TAPDB_GROUP_FILE", f"{path} is no list of groups by user", "write NAME: [GROUP, GROUP]"
        ) from error


_GROUPS = TypeAdapter(dict[str, list[str]])


class Authenticator:
    """Says who sends a request.

    Parameters
    ----------
    settings
        How users are told.

    Raises
    ------
    SettingsError
        Raised if the file of tokens is missing, or that or the file of groups cannot be used.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._groups = {} if settings.group_file is None else read_groups(settings.group_file)
        self._tokens: BearerTokens | None = None
        if settings.auth == "token":
            if settings.token_file is None:
                raise SettingsError(
                    "TAPDB_TOKEN_FILE", "is not set, and TAPDB_AUTH is token", "name a file of tokens"
                )
            self._tokens = BearerTokens(settings.token_file)

    def user_of_token(self, token: str) -> str | None:
        """Return who has a token; None if nobody has, or the service knows no tokens."""
        return None if self._tokens is None else self._tokens.user_of(token)

    @property
    def challenges(self) -> tuple[str, ...]:
        """Values of ``WWW-Authenticate``: how a client says who it is."""
        return ("ivoa_bearer", 'Bearer realm="tapdb"') if self._tokens is not None else ()

    def user(self, connection: HTTPConnection) -> User:
        """Return who sends a request.

        Raises
        ------
        UnauthenticatedError
            Raised if the request has to say so and does not, or says it wrongly.
        TokensUnreadableError
            Raised if nobody can tell whose token it has.
        """
        address = connection.client.host if connection.client else ""
        if self._tokens is not None:
            header = connection.headers.get("authorization", "")
            if not header and (token := connection.cookies.get(COOKIE)) and is_own(connection):
                header = f"Bearer {token}"
            known = self._by_token(self._tokens, header)
            return User(known, address, self._groups.get(known, frozenset()))
        if self._settings.auth == "proxy":
            # A proxy that adds its header to that of a client lets the client choose.
            names = connection.headers.getlist(self._settings.auth_header)
            name = names[0].strip() if len(names) == 1 else ""
            if not connection.scope.get("tapdb.trusted"):
                raise UnauthenticatedError(
                    "this service is used through its proxy", "connect to the address of the proxy"
                )
            if not name or len(name) > _LONGEST_NAME or not name.isprintable():
                problem = "several users" if len(names) > 1 else "no user"
                raise UnauthenticatedError(f"the proxy names {problem}", "log in")
            # As with names: of two headers one may be the client's.
            given = connection.headers.getlist(self._settings.group_header)
            words = given[0].split(",") if len(given) == 1 else []
            named = frozenset(filter(None, map(str.strip, words)))
            return User(name, address, named | self._groups.get(name, frozenset()))
        return User(None, address)

    @staticmethod
    def _by_token(tokens: BearerTokens, header: str) -> str:
        scheme, _, token = header.partition(" ")
        if scheme.lower() not in {"bearer", "ivoa_bearer"} or not token.strip():
            raise UnauthenticatedError(
                "the service wants a bearer token", "send Authorization: Bearer with your token"
            )
        user = tokens.user_of(token.strip())
        if user is None:
            raise UnauthenticatedError("the service does not know this token", "have a new one made")
        return user


def is_own(connection: HTTPConnection) -> bool:
    """Return whether a browser sends a request for a page of the service or for its user, and no other page.

    Browsers say so (W3C Fetch Metadata), over plain HTTP only by the origin of what they post (Fetch, section
    3.2); other hosts of the same site could let it send the cookie.

    Parameters
    ----------
    connection
        The request.
    """
    said, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin")
    if said is not None:
        return said in {"same-origin", "none"}
    return origin is None or origin.partition("://")[2] == connection.headers.get("host")


def is_trusted(address: str, networks: tuple[Network, ...]) -> bool:
    """Return whether an address is in one of some networks."""
    try:
        given = ip_address(address.partition("%")[0])
    except ValueError:
        # A socket of the machine has no address; what may write to it, its owner decides.
        return not address
    if (mapped := getattr(given, "ipv4_mapped", None)) is not None:
        given = mapped
    return any(given in network for network in networks)
