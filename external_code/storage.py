"""Files that a Butler repository keeps as a program wrote them: storage classes that pass files through.

A dataset of such a class is put as a `KeptFile` and moves into the datastore without being read; ``get``
gives a `KeptFile` that says where it is. It works with every Butler, the Quantum-Backed one too, and with
every datastore. A repository knows the classes once ``tapdb task init --repository REPO`` has added them to
its ``butler.yaml``; programs that ``get`` them need tapdb.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lsst.daf.butler import FormatterV2
from lsst.resources import ResourcePath

from external_code.errors import RepositoryError

CLASSES: Mapping[str, str] = {
    "KeptFile": ".dat",
    "KeptFits": ".fits",
    "KeptVotable": ".vot",
    "KeptCsv": ".csv",
    "KeptText": ".txt",
    "KeptJson": ".json",
    "KeptYaml": ".yaml",
    "KeptParquet": ".parquet",
    "KeptPng": ".png",
}
"""Storage classes that pass files through, each with the extension of its files."""

_TYPE = "external_code.storage.KeptFile"
_FORMATTER = "external_code.storage.KeptFileFormatter"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a dataset, as a program wrote it.

    Attributes
    ----------
    uri
        Where it is: a path for local files.
    """

    uri: str

    def read(self) -> bytes:
        """Return its content.

        Raises
        ------
        FileNotFoundError
            Raised if it is gone.
        """
        content: bytes = ResourcePath(self.uri, forceDirectory=False).read()
        return content

    @property
    def path(self) -> Path:
        """Its path.

        Raises
        ------
        RepositoryError
            Raised if it is not a local file: read it, or take ``uri``.
        """
        place = ResourcePath(self.uri, forceDirectory=False)
        if not place.isLocal:
            raise RepositoryError(self.uri, "is not on a local file system", "Use read(), or its URI.")
        return Path(place.ospath)


class KeptFileFormatter(FormatterV2):
    """Moves a file into a datastore as it is, and gives back where it lies."""

    can_read_from_uri = True
    supported_write_parameters = frozenset({"extension"})
    unsupported_parameters = None

    def get_write_extension(self) -> str:
        """Return the extension that the configuration gives to the storage class."""
        return str(self.write_parameters.get("extension", CLASSES["KeptFile"]))

    @classmethod
    def validate_extension(cls, location: Any) -> None:
        """Accept every extension: files that are ingested keep theirs."""

    def read_from_uri(
        self,
        uri: ResourcePath,  # noqa: ARG002
        component: str | None = None,  # noqa: ARG002 - the signature is daf_butler's
        expected_size: int = -1,  # noqa: ARG002
    ) -> Any:
        """Return where the file is; it is not read."""
        # What is given may be a copy in Butler's cache, which lives no longer than this call.
        place = self.file_descriptor.location.uri
        return KeptFile(place.ospath if place.isLocal else str(place))

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Move the file; within a file system that renames it."""
        shutil.move(in_memory_dataset.path, uri.ospath)


def storage_options() -> dict[str, Any]:
    """Return what ``butler.yaml`` says of the classes, to be merged into it."""
    return {
        "storageClasses": {name: {"pytype": _TYPE} for name in CLASSES},
        "datastore": {
            "formatters": {
                name: {"formatter": _FORMATTER, "parameters": {"extension": extension}}
                for name, extension in CLASSES.items()
            }
        },
    }


def prepare_repository(root: str) -> bool:
    """Add the classes to ``butler.yaml`` of a repository; return whether they were missing.

    Parameters
    ----------
    root
        Folder of the repository, or its ``butler.yaml``.

    Raises
    ------
    RepositoryError
        Raised if there is no such file, or if it cannot be changed.
    """
    place = ResourcePath(root)
    file = (
        place
        if place.getExtension() == ".yaml"
        else ResourcePath(root, forceDirectory=True).join("butler.yaml")
    )
    try:
        settings = yaml.safe_load(file.read()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise RepositoryError(root, f"its butler.yaml cannot be read: {error}", "Name its folder.") from error
    before = yaml.safe_dump(settings)
    options = storage_options()
    settings.setdefault("storageClasses", {}).update(options["storageClasses"])
    for datastore in _file_datastores(settings.setdefault("datastore", {})):
        datastore.setdefault("formatters", {}).update(options["datastore"]["formatters"])
    if yaml.safe_dump(settings) == before:
        return False
    text = yaml.safe_dump(settings, sort_keys=False).encode()
    try:
        if file.isLocal:
            # Readers find the old text or the new one, never half of it.
            part = Path(file.ospath).with_suffix(".yaml.new")
            part.write_bytes(text)
            part.replace(file.ospath)
        else:
            file.write(text)
    except OSError as error:
        raise RepositoryError(root, f"its butler.yaml cannot be written: {error}") from error
    return True


def _file_datastores(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each datastore of a chain; those of the one there is if it is no chain."""
    parts = options.get("datastores")
    if not parts:
        return [options]
    return [one for part in parts for one in _file_datastores(part.get("datastore", part))]
