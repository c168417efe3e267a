"""The one server of a user that stays when the command that has started it ends.

A symbolic link in the temporary directory leads to it. The link is all the state that there is: it is made
and removed together with the directory of the server.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tapdb.errors import SettingsError
from tapdb.server_directory import STOP

__all__ = ["find_standing", "standing_link", "stop_standing"]


def standing_link() -> Path:
    """Return the link to the server of the present user, whether it is there or not."""
    return Path(tempfile.gettempdir()) / f"tapdb-server-{os.geteuid()}"


def find_standing() -> Path | None:
    """Return the directory of the server that stays, or None; a link that leads nowhere is removed.

    Raises
    ------
    SettingsError
        Raised if something else has the name of the link: the temporary directory is open to all users.
    """
    link = standing_link()
    if not os.path.lexists(link):
        return None
    if not link.is_symlink() or link.lstat().st_uid != os.geteuid():
        raise SettingsError(
            str(link),
            "is not a link that this user has made",
            "remove it, or set TMPDIR to another directory",
        )
    if link.exists():
        return link.readlink()
    # Its server and directory have gone without it: the machine was started again.
    link.unlink()
    return None


def stop_standing() -> Path | None:
    """Stop the server that stays and remove all that belongs to it; return its directory, or None."""
    directory = find_standing()
    if directory is not None:
        subprocess.run(["/bin/sh", str(directory / STOP)], check=True)
    return directory
