"""Digests of what files say: of FITS the data alone, since headers hold dates; of others all bytes.

Two runs of a program over the same input may write the same values under another date. `values_digest`
is equal then.
"""

import hashlib
from pathlib import Path
from typing import Any

from external_code.program import file_sha256

_FITS = b"SIMPLE  ="


def values_digest(path: Path) -> str:
    """Return the digest of the values in a file: its kind, a colon, SHA-256 in hexadecimal.

    ``data:`` is for FITS files and covers names, types, shapes and data of all HDUs, in their order;
    ``bytes:`` covers a file as it is.

    Raises
    ------
    OSError
        Raised if the file cannot be read.
    """
    with path.open("rb") as stream:
        is_fits = stream.read(len(_FITS)) == _FITS
    return f"data:{_fits_digest(path)}" if is_fits else f"bytes:{file_sha256(path)}"


def same_values(path: Path, digest: str) -> bool:
    """Return whether a file has the values that a digest of `values_digest` stands for.

    Raises
    ------
    OSError
        Raised if the file cannot be read.
    """
    if digest.startswith("bytes:"):
        return f"bytes:{file_sha256(path)}" == digest
    return values_digest(path) == digest


def _fits_digest(path: Path) -> str:
    # astropy takes longer to import than the rest of a small quantum takes.
    from astropy.io import fits  # noqa: PLC0415

    digest = hashlib.sha256()
    with fits.open(path, memmap=False, disable_image_compression=True) as hdus:
        for hdu in hdus:
            digest.update(repr((hdu.name, hdu.is_image)).encode())
            _add_data(digest, hdu.data)
    return digest.hexdigest()


def _add_data(digest: "hashlib._Hash", data: Any) -> None:
    """Add type, shape and bytes of an array, as in the file, to a digest; of tables each column."""
    if data is None:
        digest.update(b"none")
        return
    names = data.dtype.names
    if names is None:
        digest.update(repr((data.dtype.str, data.shape)).encode())
        digest.update(data.tobytes())
        return
    for name in names:
        column = data[name]
        digest.update(repr((name, column.dtype.str, column.shape)).encode())
        # Arrays of variable length are objects.
        digest.update(b"".join(map(bytes, column)) if column.dtype.hasobject else column.tobytes())
