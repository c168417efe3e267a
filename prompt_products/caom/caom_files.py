"""Observations as XML of CAOM 2.4, as the package caom2 writes and checks it: a document each."""

import io
import zipfile
from collections.abc import Generator, Iterable
from typing import IO, TYPE_CHECKING

from prompt_products.caom.caom_objects import EXTRA
from prompt_products.errors import CaomInvalidError
from tapdb.extras import from_extra

if TYPE_CHECKING:
    from caom2 import Observation as CaomObservation


def documents(
    observations: Iterable["CaomObservation"], *, check: bool = True
) -> Generator[tuple[str, bytes]]:
    """Yield the name of a file and the XML of each observation.

    Parameters
    ----------
    observations
        Observations.
    check
        Whether each is validated by the schema of CAOM 2.4.

    Raises
    ------
    CaomInvalidError
        Raised if one does not follow the schema.
    MissingExtraError
        Raised if the package caom2 is not installed.
    """
    with from_extra(EXTRA, "CAOM2"):
        from caom2.obs_reader_writer import ObservationWriter  # noqa: PLC0415
        from lxml import etree  # noqa: PLC0415

    writer = ObservationWriter(validate=check)
    for one in observations:
        written = io.BytesIO()
        try:
            writer.write(one, written)
        except (etree.DocumentInvalid, AssertionError) as error:
            raise CaomInvalidError(one.observation_id, str(error)) from error
        yield f"{one.collection}/{one.observation_id}.xml".replace(":", "_"), written.getvalue()


def write_zip(found: Iterable[tuple[str, bytes]], stream: IO[bytes]) -> int:
    """Write documents as members of a ZIP; return how many there were."""
    count = 0
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in found:
            archive.writestr(name, content)
            count += 1
    return count
