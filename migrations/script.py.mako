<%!
# Rendered for `alembic revision` and `alembic merge`, with or without env.py.
from pathlib import Path

from tapdb.migrate.run import require_clone

require_clone(Path(_template_filename).parent)
%>\
"""${message}

Locks taken: none on any table of Butler's.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from __future__ import annotations

from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Go to this revision."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Go back to the revision before."""
    ${downgrades if downgrades else "pass"}
