"""tapdb.extensions against a real server."""

from __future__ import annotations

import sqlalchemy as sa

from tapdb.extensions import require_extensions


def test_a_template_has_what_tapdb_needs(connection: sa.Connection) -> None:
    require_extensions(connection)
    assert connection.scalar(sa.text("SELECT '<(10d,10d),1d>'::scircle @> '(10.5d,10d)'::spoint"))
