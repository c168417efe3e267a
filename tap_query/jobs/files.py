"""Files of jobs, in a folder that the service and its workers share: what was uploaded, and the result."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, Self
from urllib.parse import quote, unquote
from uuid import uuid4

from tap_query.errors import JobParameterError, JobUnknownError, UploadNotKeptError
from tap_query.jobs.job import JOB_ID
from tapdb.errors import SettingsError
from tapdb.settings import read_settings

_RESULT, _UNFINISHED, _UPLOAD, _IDENTITY = "result", "unfinished", "upload-", "folder"
# A file name has 255 bytes at most, and a byte may become three characters.
_LONGEST_NAME = 64

_log = logging.getLogger(__name__)


class JobFiles:
    """Files of jobs, each in a folder of its own.

    Parameters
    ----------
    root
        Folder of all.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of_settings(cls) -> Self:
        """Return the folder that ``TAPDB_JOBS_DIRECTORY`` names.

        Raises
        ------
        SettingsError
            Raised if it names none.
        """
        root = read_settings().jobs_directory
        if root is None:
            raise SettingsError(
                "TAPDB_JOBS_DIRECTORY",
                "is not set",
                "name a folder that the service and its workers share",
            )
        return cls(root)

    @cached_property
    def queue(self) -> str:
        """Name of the queue of jobs whose files lie here.

        Who has another folder leaves them: their results would be where nobody looks.
        """
        path = self.root / _IDENTITY
        if not path.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=self.root, encoding="ascii") as file:
                file.write(uuid4().hex)
                file.flush()
                # Of two processes that come first, one writes it, whole.
                with suppress(FileExistsError):
                    os.link(file.name, path)
        return f"tap {path.read_text(encoding='ascii')}"

    def check(self) -> None:
        """Make the folder if it is not there, and look whether files can be written to it.

        Raises
        ------
        SettingsError
            Raised if they cannot.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.root) as file:
                file.write(self.queue.encode())
        except OSError as error:
            raise SettingsError(
                "TAPDB_JOBS_DIRECTORY",
                f"{self.root} cannot be written to: {error.strerror}",
                "name a folder in which the user of the service may write",
            ) from error

    def result(self, job_id: str) -> Path:
        """Return where the result of a job lies once it is there."""
        return self._folder(job_id) / _RESULT

    @contextmanager
    def writing_result(self, job_id: str) -> Iterator[IO[bytes]]:
        """Open a file that becomes the result of a job at the end; if an error comes, there is none."""
        folder = self._folder(job_id)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{_UNFINISHED}-{os.getpid()}"
        try:
            with unfinished.open("wb") as stream:
                yield stream
            unfinished.replace(folder / _RESULT)
        finally:
            unfinished.unlink(missing_ok=True)

    def save_upload(self, job_id: str, name: str, blocks: Iterable[bytes]) -> Path:
        """Keep a file that was sent with a job, under the name of its parameter.

        Raises
        ------
        JobParameterError
            Raised if the name is too long.
        UploadNotKeptError
            Raised if it cannot be written, such as to a disk that is full; nothing is left of it then.
        """
        if len(name.encode()) > _LONGEST_NAME:
            raise JobParameterError("UPLOAD", name, f"names of files have {_LONGEST_NAME} bytes at most")
        path = self._folder(job_id) / (_UPLOAD + quote(name, safe=""))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                stream.writelines(blocks)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise UploadNotKeptError(f"the upload {name}", error.strerror) from error
        return path

    def uploads(self, job_id: str) -> dict[str, Path]:
        """Return the files that were sent with a job, by the names of their parameters."""
        found = sorted(self._folder(job_id).glob(f"{_UPLOAD}*"))
        return {unquote(path.name.removeprefix(_UPLOAD)): path for path in found}

    def delete(self, job_id: str) -> None:
        """Delete all files of a job; one that another process deletes meanwhile is no error.

        What the disk does not let go stays, and the log says so: it is tried again with other old files.
        """
        try:
            shutil.rmtree(self._folder(job_id))
        except FileNotFoundError:
            pass
        except OSError as error:
            _log.warning("files of job %s cannot be deleted now: %s", job_id, error.strerror)

    def delete_unknown(self, known: Callable[[list[str]], set[str]], after_s: float) -> list[str]:
        """Delete folders of jobs that are not known any more, and return their names.

        Parameters
        ----------
        known
            Returns which of some identifiers are of jobs.
        after_s
            Seconds that a folder has to be old: one may come before its job is committed.
        """
        if not self.root.is_dir():
            return []
        old = time.time() - after_s
        names = []
        for one in sorted(self.root.iterdir()):
            # Its job may be deleted while this looks.
            with suppress(FileNotFoundError):
                if JOB_ID.fullmatch(one.name) and one.stat().st_mtime < old:
                    names.append(one.name)
        unknown = sorted(set(names) - known(names)) if names else []
        for name in unknown:
            self.delete(name)
        return unknown

    def _folder(self, job_id: str) -> Path:
        # What comes from a client never leads out of the folder.
        if not JOB_ID.fullmatch(job_id):
            raise JobUnknownError(job_id)
        return self.root / job_id
