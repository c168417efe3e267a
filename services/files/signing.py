"""Links to files that the service has signed: each is for one file, and expires."""

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

from services.errors import LinkRefusedError
from services.settings import ServiceSettings
from tapdb.errors import SettingsError

_SHORTEST_KEY = 16
_MOST_DIGITS = 18
# What is signed begins with what it is for: nothing else that the key signs is a link.
_PURPOSE = "tapdb file link 1"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs links to files, and knows its own.

    Parameters
    ----------
    key
        Secret of all processes that share links.
    seconds
        How long a link is good.
    clock
        Seconds since 1970.
    """

    key: bytes = field(repr=False)
    seconds: int
    clock: Callable[[], float] = time.time

    @classmethod
    def of_settings(cls, settings: ServiceSettings) -> "Signer":
        """Return the signer that settings describe; if they name no file, with a key that nobody else has.

        Raises
        ------
        SettingsError
            Raised if the file cannot be read, or is too short to be a secret.
        """
        key = (
            secrets.token_bytes(32) if settings.signing_key_file is None else _read(settings.signing_key_file)
        )
        return cls(key, settings.file_seconds)

    def parameters(self, dataset: UUID, component: str | None) -> Mapping[str, str]:
        """Return the parameters of a signed link to a file of a dataset."""
        expires = str(int(self.clock()) + self.seconds)
        given = {} if component is None else {"component": component}
        return given | {"expires": expires, "signature": self._signature(dataset, component, expires)}

    def path(self, dataset: UUID, component: str | None = None) -> str:
        """Return the signed link to a file of a dataset, below the URL of the service."""
        return f"/files/{dataset}?{urlencode(self.parameters(dataset, component))}"

    def check(self, dataset: UUID, component: str | None, expires: str, signature: str) -> float:
        """Return for how many seconds a link is good.

        Raises
        ------
        LinkRefusedError
            Raised if it was not signed here, is for another file, or has expired.
        """
        known = self._signature(dataset, component, expires)
        # Who signed is looked at before when: a forged link learns nothing of the clock.
        if not hmac.compare_digest(known.encode(), signature.encode("utf-8", "surrogatepass")):
            raise LinkRefusedError("the signature of the link is not one of the service for this file")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= _MOST_DIGITS):
            raise LinkRefusedError("the link does not say when it expires")
        left = int(expires) - self.clock()
        if left <= 0:
            raise LinkRefusedError("the link has expired")
        return left

    def _signature(self, dataset: UUID, component: str | None, expires: str) -> str:
        # Each part on a line of its own; a name with the end of a line in it would be two.
        named = "-" if component is None else "+" + component.encode("utf-8", "surrogatepass").hex()
        parts = (_PURPOSE, str(dataset), named, expires)
        digest = hmac.new(self.key, "\n".join(parts).encode("utf-8", "surrogatepass"), sha256).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


def write_key(path: Path) -> None:
    """Write a new key to a file that only its owner can read."""
    path.touch(0o600)
    path.write_text(secrets.token_hex(32), encoding="ascii")


def _read(path: Path) -> bytes:
    variable = "TAPDB_SIGNING_KEY_FILE"
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(variable, f"{path} cannot be read: {error.strerror}") from error
    if len(key) < _SHORTEST_KEY:
        raise SettingsError(
            variable,
            f"{path} has {len(key)} bytes",
            f"write a secret of at least {_SHORTEST_KEY} bytes into it",
        )
    return key
