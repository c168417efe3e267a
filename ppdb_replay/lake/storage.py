"""Where a lake lies: a folder, or a prefix in a bucket of S3; files appear whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from psycopg import sql

from ppdb_replay.errors import LakeBusyError, LakeUnreadableError
from tapdb.extras import from_extra

_S3 = "s3"
_LOCK = ".lock"
_STAGING = ".staging"
_PRECONDITION = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_MISSING = {"NoSuchKey", "404", "NoSuchBucket"}
_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a lake.

    Attributes
    ----------
    name
        Its name, relative to the lake.
    size
        Its bytes.
    written
        When it was written, seconds since 1970.
    """

    name: str
    size: int
    written: float


class LakeStore(Protocol):
    """Where a lake lies."""

    @property
    def url(self) -> str:
        """The place as DuckDB and people write it, with a slash at its end."""
        ...

    @property
    def staging(self) -> Path:
        """Folder of this machine for what is not finished."""
        ...

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return the content of a file, and a mark that tells it from others; `None` if it is not there."""
        ...

    def replace(self, name: str, data: bytes, mark: str | None) -> None:
        """Write a file if it still has a mark (`None`: is not there), else raise `LakeBusyError`."""
        ...

    def put(self, file: Path, name: str) -> None:
        """Move a file of this machine here."""
        ...

    def get(self, name: str, file: Path) -> None:
        """Copy a file to this machine."""
        ...

    def files(self, prefix: str) -> Iterator[StoredFile]:
        """Return the files whose names begin with a folder."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; those that are not there are gone already."""
        ...

    def tidy(self, prefix: str) -> None:
        """Remove folders without files below one."""
        ...

    def settle(self, pattern: str) -> None:
        """Let what others have written here reach the disk: files whose names match a pattern."""
        ...

    def statements(self) -> tuple[str, ...]:
        """Return the statements that let DuckDB read and write here."""
        ...

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time change the lake, where the place can tell processes apart."""
        ...


def open_store(where: str | Path) -> LakeStore:
    """Return the place of a lake.

    Parameters
    ----------
    where
        A folder, which need not be there, or ``s3://BUCKET/PREFIX``; boto3's environment and profiles say how
        to get at that.

    Raises
    ------
    MissingExtraError
        Raised if it is in S3, and boto3 is not installed.
    """
    text = str(where)
    return _Bucket(text) if urlsplit(text).scheme == _S3 else _Folder(Path(text))


class _Folder:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def url(self) -> str:
        return f"{self._folder}/"

    @property
    def staging(self) -> Path:
        return self._folder / _STAGING

    def read(self, name: str) -> tuple[bytes, str] | None:
        try:
            data = (self._folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data, hashlib.sha256(data).hexdigest()

    def replace(self, name: str, data: bytes, mark: str | None) -> None:
        found = self.read(name)
        if (None if found is None else found[1]) != mark:
            raise LakeBusyError(self.url)
        self.staging.mkdir(parents=True, exist_ok=True)
        number, draft = tempfile.mkstemp(dir=self.staging)
        with os.fdopen(number, "wb") as stream:
            stream.write(data)
        Path(draft).chmod(_readable())
        self.put(Path(draft), name)

    def put(self, file: Path, name: str) -> None:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        try:
            file.replace(target)
        except OSError:
            # Of another file system: it appears whole all the same.
            draft = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.copyfile(file, draft)
            draft.replace(target)
            file.unlink()
        number = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)

    def get(self, name: str, file: Path) -> None:
        shutil.copyfile(self._folder / name, file)

    def files(self, prefix: str) -> Iterator[StoredFile]:
        for path in sorted((self._folder / prefix).rglob("*")):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                yield StoredFile(str(path.relative_to(self._folder)), facts.st_size, facts.st_mtime)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def tidy(self, prefix: str) -> None:
        for folder in sorted((self._folder / prefix).rglob("*"), reverse=True):
            # One that has files stays.
            with suppress(OSError):
                folder.rmdir()

    def settle(self, pattern: str) -> None:
        for path in self._folder.glob(pattern):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())

    def statements(self) -> tuple[str, ...]:
        return ()

    @contextmanager
    def locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / _LOCK).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LakeBusyError(self.url) from error
            yield


def _readable() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


class _Bucket:
    """A prefix in a bucket of S3, or of what speaks like it."""

    def __init__(self, url: str) -> None:
        with from_extra(_S3, "a lake on S3"):
            import boto3  # noqa: PLC0415 - for those who have a lake there
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._session = boto3.Session()
        self._errors = (ClientError, BotoCoreError)
        self._client: Any = self._session.client(_S3)

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._key('')}"

    @property
    def staging(self) -> Path:
        name = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"tapdb-lake-{os.getuid()}-{name}"

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise LakeUnreadableError(self.url, f"S3 refused it: {error}") from error

    def read(self, name: str) -> tuple[bytes, str] | None:
        with self._named():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
            except self._errors as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return found["Body"].read(), found["ETag"]

    def replace(self, name: str, data: bytes, mark: str | None) -> None:
        condition = {"IfNoneMatch": "*"} if mark is None else {"IfMatch": mark}
        with self._named():
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=data, **condition)
            except self._errors as error:
                if _code(error) in _PRECONDITION | _MISSING:
                    raise LakeBusyError(self.url) from error
                raise

    def put(self, file: Path, name: str) -> None:
        with self._named():
            self._client.upload_file(str(file), self._bucket, self._key(name))
        file.unlink()

    def get(self, name: str, file: Path) -> None:
        with self._named():
            self._client.download_file(self._bucket, self._key(name), str(file))

    def files(self, prefix: str) -> Iterator[StoredFile]:
        pages = self._client.get_paginator("list_objects_v2")
        skipped = len(self._key(""))
        with self._named():
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._key(f"{prefix}/")):
                for one in page.get("Contents", ()):
                    yield StoredFile(one["Key"][skipped:], one["Size"], one["LastModified"].timestamp())

    def delete(self, names: Iterable[str]) -> None:
        with self._named():
            for name in names:
                self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def tidy(self, prefix: str) -> None:
        """Do nothing: a bucket has no folders."""

    def settle(self, pattern: str) -> None:
        """Do nothing: what a bucket has taken it keeps."""

    def statements(self) -> tuple[str, ...]:
        endpoint = urlsplit(self._client.meta.endpoint_url)
        secret = {
            "REGION": self._client.meta.region_name or _REGION,
            "ENDPOINT": endpoint.netloc,
            "USE_SSL": endpoint.scheme == "https",
            "SCOPE": self.url,
        }
        if not endpoint.netloc.endswith("amazonaws.com"):
            # What stands in for S3 seldom has a name for each bucket.
            secret["URL_STYLE"] = "path"
        credentials = self._session.get_credentials()
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            given = {"KEY_ID": frozen.access_key, "SECRET": frozen.secret_key, "SESSION_TOKEN": frozen.token}
            secret |= {name: value for name, value in given.items() if value}
        options = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.SQL(name), sql.Literal(value)) for name, value in secret.items()
        )
        return (sql.SQL("CREATE SECRET lake_files (TYPE s3, {})").format(options).as_string(),)

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield
        with suppress(OSError):
            # Nothing of a lake elsewhere stays here; what another process is about to send does.
            self.staging.rmdir()


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
