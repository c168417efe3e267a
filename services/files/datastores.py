"""Where files of Butler's datastores lie; opens one, but none outside of the roots of its repository."""

import errno
import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

from services.errors import FileGoneError, FileRefusedError
from services.files.ranges import Validators
from tapdb.extras import from_extra
from tapdb.hooks.descriptions import DatasetFile

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_LOCAL, _S3 = "file://", "s3://"
_IN_ZIP = "zip-path="
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_OUTSIDE = "it lies outside of the roots of its repository"
_UNREADABLE = "the service may not read it"
_NO_FILE = "it is no file"
# What zipfile raises of a ZIP that is broken anywhere: in names that are no UTF-8, too.
_BROKEN = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError),
    *(zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that another server gives away.

    Attributes
    ----------
    url
        Where it is; signed, where the server wants that.
    """

    url: str


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine that is open, or a member of a ZIP that is.

    Attributes
    ----------
    name
        Its name, for the client.
    size
        Its bytes.
    validators
        What tells whether a client has it already.
    read
        Returns so many bytes from a position on; called in one thread at a time.
    close
        Closes it.
    """

    name: str
    size: int
    validators: Validators
    read: Callable[[int, int], bytes]
    close: Callable[[], None]


class Datastores:
    """The roots of all repositories.

    Parameters
    ----------
    roots
        Label of a repository, and a folder or URL; a label may be there several times.
    """

    def __init__(self, roots: Iterable[tuple[str, str]]) -> None:
        self._roots: dict[str, list[str]] = {}
        for label, root in roots:
            self._roots.setdefault(label, []).append(_url(root))
        self._s3 = _SignedBuckets()

    def __contains__(self, label: str) -> bool:
        return label in self._roots

    def find(self, file: DatasetFile, seconds: int, method: str = "GET") -> LocalFile | RemoteFile:
        """Open a file, or say which URL gives it; reads the disk.

        Parameters
        ----------
        file
            What the registry knows of it.
        seconds
            How long a signed URL is to be good.
        method
            With which method a client follows a signed URL: it is good for no other.

        Raises
        ------
        FileRefusedError
            Raised if the file is not below a root of its repository, or no URL can be signed.
        FileGoneError
            Raised if it is below none of them.
        """
        path, _, fragment = file.path.partition("#")
        member = unquote(fragment).removeprefix(_IN_ZIP) if unquote(fragment).startswith(_IN_ZIP) else None
        if fragment and member is None:
            raise FileRefusedError("its place has a form that the service does not know")
        roots = self._roots.get(file.repository, ())
        if "\0" in unquote(path) or ".." in unquote(path).split("/"):
            raise FileRefusedError(_OUTSIDE)
        # A root may be a link itself: what is recorded where that leads is below it, too.
        folders = [_end_of_root(root) for root in roots if root.startswith(_LOCAL)]
        known = [*roots, *(_url(str(folder)) for folder in folders)]
        places = dict.fromkeys(place for root in known if (place := _place(root, path)) is not None)
        if not places:
            raise FileRefusedError(_OUTSIDE)
        for place in places:
            if place.startswith(_LOCAL):
                with suppress(FileNotFoundError, NotADirectoryError):
                    return _open(Path(_path_of(place)), folders, file, member)
            elif member is None:
                return RemoteFile(self._s3.sign(place, seconds, method) if place.startswith(_S3) else place)
        if member is not None and not all(place.startswith(_LOCAL) for place in places):
            raise FileRefusedError("it is a part of a ZIP that lies elsewhere")
        raise FileGoneError(f"dataset {file.dataset}", "has a file that is not where its datastore says")


class _SignedBuckets:
    """Signs URLs of S3, as the environment of boto3 and its profiles say."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def sign(self, url: str, seconds: int, method: str) -> str:
        """Return a URL that anybody can read for some time.

        Raises
        ------
        FileRefusedError
            Raised if there are no credentials for it, or it is in no bucket that can be.
        """
        with from_extra("s3", "files on S3"):
            from botocore.exceptions import (  # noqa: PLC0415  # takes half a second, and few need it
                BotoCoreError,
                NoCredentialsError,
            )
        parts = urlsplit(url)
        profile, _, bucket = parts.netloc.rpartition("@")
        where = {"Bucket": bucket, "Key": unquote(parts.path).lstrip("/")}
        operation = "head_object" if method == "HEAD" else "get_object"
        try:
            client = self._client(unquote(profile))
            return str(client.generate_presigned_url(operation, Params=where, ExpiresIn=seconds))
        except NoCredentialsError as error:
            raise FileRefusedError("the service has no credentials for its bucket") from error
        except (BotoCoreError, ValueError) as error:
            problem = f"no link to its bucket can be signed ({type(error).__name__})"
            raise FileRefusedError(problem) from error

    def _client(self, profile: str) -> Any:
        """Return the client of a profile; a session may be made by one thread at a time."""
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        with self._lock:
            if profile not in self._clients:
                session = boto3.Session(profile_name=profile or None)
                # In some regions boto3 would sign as S3 takes it only of its oldest buckets.
                self._clients[profile] = session.client("s3", config=Config(signature_version="s3v4"))
            return self._clients[profile]


def _url(root: str) -> str:
    """Return a root as a URL that ends with a slash, and whose path is quoted."""
    text = root if _SCHEME.match(root) else _LOCAL + quote(root)
    return _quoted(text).rstrip("/") + "/"


def _quoted(url: str) -> str:
    """Return a URL whose path is written in the one way in which roots are."""
    parts = urlsplit(url)
    # Names of profiles and buckets are not names of hosts.
    host = parts.netloc if parts.scheme == "s3" else parts.netloc.lower()
    return parts._replace(netloc=host, path=quote(unquote(parts.path))).geturl()


def _end_of_root(root: str) -> Path:
    """Return where the folder of a root is; itself, if it is nowhere."""
    try:
        return Path(_path_of(root)).resolve()
    except RuntimeError:
        # Of links in a circle, before Python 3.13.
        return Path(_path_of(root))


def _path_of(url: str) -> str:
    return unquote(urlsplit(url).path)


def _place(root: str, path: str) -> str | None:
    """Return the URL of a file, if it is relative or below the root."""
    if _SCHEME.match(path):
        return path if _quoted(path).startswith(root) else None
    if path.startswith("/"):
        url = _LOCAL + quote(unquote(path))
        return url if url.startswith(root) else None
    return root + quote(unquote(path))


def _open(path: Path, folders: Sequence[Path], file: DatasetFile, member: str | None) -> LocalFile:
    # The end of all symbolic links counts, of the roots' too: a datastore may link to files of another root.
    real = _end_of_links(path)
    if not any(real.is_relative_to(folder) for folder in folders):
        raise FileRefusedError(_OUTSIDE)
    try:
        number = os.open(real, _OPEN)
    except PermissionError as error:
        raise FileRefusedError(_UNREADABLE) from error
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise FileRefusedError(_NO_FILE) from error
        raise
    try:
        status = _status(number)
        if member is None:
            return _whole(number, status, real.name, file)
        return _member(number, status, file, member)
    except BaseException:
        os.close(number)
        raise


def _end_of_links(path: Path) -> Path:
    """Return where a path leads.

    Raises
    ------
    FileNotFoundError
        Raised if it leads nowhere: links to each other, or a name that no file can have.
    FileRefusedError
        Raised if a folder on the way is closed to the service.
    """
    try:
        return path.resolve(strict=True)
    except PermissionError as error:
        raise FileRefusedError(_UNREADABLE) from error
    except RuntimeError as error:
        # Of links in a circle, before Python 3.13.
        raise FileNotFoundError(errno.ENOENT, "links in a circle") from error
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
            raise FileNotFoundError(errno.ENOENT, error.strerror) from error
        raise


def _status(number: int) -> os.stat_result:
    """Return what is known of an open file; folders, devices and pipes are none."""
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        raise FileRefusedError(_NO_FILE)
    return status


def _whole(number: int, status: os.stat_result, name: str, file: DatasetFile) -> LocalFile:
    is_as_recorded = file.checksum is not None and file.size == status.st_size
    tag = str(file.checksum) if is_as_recorded else f"{status.st_mtime_ns:x}-{status.st_size:x}"
    return LocalFile(
        name,
        status.st_size,
        _validators(tag, status),
        lambda position, size: os.pread(number, size, position),
        lambda: os.close(number),
    )


def _member(number: int, status: os.stat_result, file: DatasetFile, member: str) -> LocalFile:
    stream: IO[bytes] = os.fdopen(number, "rb", closefd=False)
    try:
        archive = zipfile.ZipFile(stream)
        facts = archive.getinfo(member)
        opened = archive.open(facts)
    except KeyError as error:
        raise FileGoneError(f"dataset {file.dataset}", "has a file that is not in its ZIP") from error
    except _BROKEN as error:
        raise FileGoneError(f"dataset {file.dataset}", "has a ZIP that cannot be read") from error

    def read(position: int, size: int) -> bytes:
        try:
            opened.seek(position)
            return opened.read(size)
        except _BROKEN as error:
            raise FileGoneError(f"dataset {file.dataset}", "has a ZIP that cannot be read") from error

    def close() -> None:
        opened.close()
        archive.close()
        stream.close()
        os.close(number)

    tag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{facts.header_offset:x}-{facts.CRC:x}"
    return LocalFile(member.rpartition("/")[2], facts.file_size, _validators(tag, status), read, close)


def _validators(tag: str, status: os.stat_result) -> Validators:
    # Checksums of Butler are of any form: a digest has no character that an entity tag may not have.
    digest = sha256(tag.encode()).hexdigest()[:32]
    return Validators(f'"{digest}"', datetime.fromtimestamp(int(status.st_mtime), UTC))
