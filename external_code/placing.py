"""Between Butler and the files of a program: inputs become files or URIs, files become outputs."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from lsst.daf.butler import FileDataset
from lsst.resources import ResourcePath

from external_code.errors import InputFileError, OutputFileError
from external_code.storage import KeptFile

Reader = Callable[[Path], Any]
"""Reads the file that a program wrote, for ``put``."""


def place_input(name: str, config: Any, handle: Any, folder: Path) -> str:
    """Return what a program is given for an input: the path of a file, or a URI.

    Parameters
    ----------
    name
        Name of the input.
    config
        Its `InputConfig`.
    handle
        Deferred handle of the dataset.
    folder
        Folder for copies of this input alone: programs are to assume nothing of folders (WPT-102).

    Raises
    ------
    InputFileError
        Raised if the dataset is not one file (WPT-101), if it is not there, or not local where it has to be.
    """
    uri = _one_uri(name, handle)
    if config.access == "uri":
        return str(uri)
    if config.hdu:
        return str(_write_hdu(name, config.hdu, uri, folder))
    if uri.isLocal and config.access != "copy":
        path = Path(uri.ospath)
        if not path.is_file():
            raise InputFileError(name, f"the file of dataset {handle.ref.id} is not there: {path.name}")
        try:
            path.open("rb").close()
        except OSError as error:
            raise InputFileError(name, f"{path.name} cannot be read: {error.strerror}") from error
        return str(path)
    if config.access == "in_place":
        raise InputFileError(name, f"{uri} is not a local file; access auto or copy makes a local copy of it")
    target = folder / uri.basename()
    try:
        ResourcePath(str(target)).transfer_from(uri, transfer="copy")
    except OSError as error:
        raise InputFileError(name, f"{uri.basename()} cannot be copied: {error}") from error
    return str(target)


def _one_uri(name: str, handle: Any) -> ResourcePath:
    """Return where the one file of a dataset is."""
    try:
        uris = handle.butler.getURIs(handle.ref)
    except FileNotFoundError as error:
        raise InputFileError(
            name, f"dataset {handle.ref.id} is not stored; it may have been purged"
        ) from error
    uri: ResourcePath | None = uris.primaryURI
    if uri is None or uris.componentURIs:
        parts = ", ".join(sorted(uris.componentURIs))
        raise InputFileError(
            name, f"dataset {handle.ref.id} is in several files ({parts}); a program is given datasets of one"
        )
    if uri.fragment:
        raise InputFileError(
            name, f"dataset {handle.ref.id} is a member of {uri.basename()}, no file of its own"
        )
    return uri


def _write_hdu(name: str, which: str, uri: ResourcePath, folder: Path) -> Path:
    """Write one HDU of a FITS file as the first of a new file, uncompressed: what most programs can read."""
    from astropy.io import fits  # noqa: PLC0415 - it takes long to import

    target = folder / f"{name}.fits"
    try:
        with uri.as_local() as local, fits.open(local.ospath, memmap=False) as hdus:
            try:
                hdu = hdus[int(which) if which.isdecimal() else which]
            except (KeyError, IndexError) as error:
                known = ", ".join(f"{number} {one.name}".strip() for number, one in enumerate(hdus))
                raise InputFileError(name, f"{uri.basename()} has no HDU {which}; it has {known}") from error
            if isinstance(hdu, fits.BinTableHDU):
                fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(target)
            else:
                fits.PrimaryHDU(data=hdu.data, header=hdu.header).writeto(target)
    except (OSError, fits.VerifyError) as error:
        raise InputFileError(name, f"HDU {which} of {uri.basename()} cannot be copied: {error}") from error
    return target


def store_output(
    name: str, config: Any, ref: Any, path: Path, put: Callable[[Any, Any], None], butler: Any
) -> None:
    """Make a file that a program wrote a dataset.

    Parameters
    ----------
    name
        Name of the output.
    config
        Its `OutputConfig`.
    ref
        Reference of the dataset.
    path
        The file; it is moved but for ``put``.
    put
        Puts an object under a reference.
    butler
        The Butler of the quantum's inputs, for ``ingest``.

    Raises
    ------
    OutputFileError
        Raised if the file cannot be read, or cannot be ingested with this Butler.
    """
    if config.by == "put":
        reader = find_reader(name, config)
        try:
            content = reader(path)
        except Exception as error:
            # What a reader raises is its own affair; the quantum fails with it as the reason.
            raise OutputFileError(
                name, f"{path.name} cannot be read: {type(error).__name__}: {error}"
            ) from error
        put(content, ref)
    elif config.by == "pass":
        put(KeptFile(str(path)), ref)
    else:
        _ingest(name, ref, path, butler)


def _ingest(name: str, ref: Any, path: Path, butler: Any) -> None:
    ingest = getattr(butler, "ingest", None)
    if ingest is None:
        raise OutputFileError(
            name,
            "a Quantum-Backed Butler cannot ingest files; "
            "store it by pass, with a storage class such as KeptFile",
        )
    try:
        ingest(FileDataset(path=str(path), refs=[ref]), transfer="move")
    except (ValueError, NotImplementedError) as error:
        # Extensions and templates that the formatter or the datastore refuse.
        raise OutputFileError(name, f"{path.name} cannot be ingested: {error}") from error


def find_reader(name: str, config: Any) -> Reader:
    """Return what reads the file of an output for ``put``.

    Raises
    ------
    OutputFileError
        Raised if a function is named that is not there, or if none is known for the storage class.
    """
    if not config.reader:
        try:
            return READERS[config.storage_class]
        except KeyError:
            known = ", ".join(sorted(READERS))
            raise OutputFileError(
                name,
                f"nothing is known that reads a {config.storage_class} from a file; name a reader as "
                f"module:function, or take one of {known}",
            ) from None
    module, _, function = config.reader.partition(":")
    try:
        found: Reader = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise OutputFileError(name, f"reader {config.reader} is not found: {error}") from error
    return found


def _read_table(path: Path) -> Any:
    from astropy.table import Table  # noqa: PLC0415 - it takes long to import

    known = {".cat": "ascii.sextractor", ".ldac": "fits", ".csv": "ascii.csv"}
    form = known.get(path.suffix)
    return Table.read(path, format=form) if form else Table.read(path)


def _read_yaml(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def _read_image(path: Path) -> Any:
    from astropy.io import fits  # noqa: PLC0415 - it takes long to import

    return fits.getdata(path)


def _read_arrow(path: Path) -> Any:
    from pyarrow import parquet  # noqa: PLC0415 - it takes long to import

    return parquet.read_table(path)


READERS: dict[str, Reader] = {
    "ArrowAstropy": _read_table,
    "ArrowTable": _read_arrow,
    "AstropyTable": _read_table,
    "NumpyArray": _read_image,
    "StructuredDataDict": _read_yaml,
}
"""What reads a file for ``put``, by storage class."""
