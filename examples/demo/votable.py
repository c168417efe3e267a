"""Write ObsCore rows as a VOTable, with units, UCDs and utypes from the one table of columns."""

from __future__ import annotations

import io
from pathlib import Path

from astropy.io import votable
from astropy.table import Table

from obscore_view.columns import find_column
from obscore_view.export import REFERENCES, SYSTEMS
from tapdb.votable import Document, Field, plain_rows, write_votable, written_fields

from .ask import Answer

__all__ = ["read_back", "write_answer"]


def write_answer(answer: Answer, path: Path) -> None:
    """Write the standard columns of an answer as VOTable 1.4 (BINARY2) with coordinate and time systems."""
    # pgSphere's types have none in VOTable.
    places = [
        (place, column)
        for place, name in enumerate(answer.columns)
        if (column := find_column(name)) is not None and not name.startswith("pgs_")
    ]
    columns = [
        Field(
            *(column.name, column.datatype, column.arraysize, column.xtype),
            *(column.unit, column.ucd, column.utype, column.description),
            identifier=column.name,
        )
        for _, column in places
    ]
    rows = list(plain_rows(columns, ([row[place] for place, _ in places] for row in answer.rows)))
    document = Document(
        columns=written_fields(columns, rows),
        name="ObsCore",
        systems=SYSTEMS,
        references=REFERENCES,
        row_count=len(rows),
    )
    with path.open("wb") as stream:
        write_votable(document, rows, stream, serialization="BINARY2")


def read_back(path: Path) -> Table:
    """Return the only table of a file, after astropy has checked it against the standard.

    Raises
    ------
    astropy.io.votable.exceptions.VOTableSpecWarning
        Raised if the file breaks a rule of VOTable.
    """
    report = io.StringIO()
    assert votable.validate(str(path), output=report, xmllint=False), report.getvalue()
    return votable.parse(str(path), verify="exception").get_first_table().to_table()
