"""What an extra of the package installs: imported where it is used, and named if it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from tapdb.errors import SettingsError


class MissingExtraError(SettingsError):
    """Something was asked that needs a Python package which a plain installation leaves out.

    Parameters
    ----------
    purpose
        What needs it, such as ``--format votable``.
    package
        What could not be imported.
    extra
        Extra of tapdb that installs it.
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(purpose, f"the Python package {package} is missing", f"pip install 'tapdb[{extra}]'")


@contextmanager
def from_extra(extra: str, purpose: str) -> Iterator[None]:
    """Import what an extra installs inside of the ``with`` block.

    Parameters
    ----------
    extra
        Extra of tapdb, as in ``pip install 'tapdb[export]'``.
    purpose
        What needs it, for the message.

    Raises
    ------
    MissingExtraError
        Raised if an import in the block finds no such package.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(purpose, str(error.name), extra) from error
