"""``tapdb extensions`` on a database with and without them."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from click.testing import CliRunner, Result

from tapdb.cli.root import main


def extensions(*arguments: str, url: sa.URL) -> Result:
    return CliRunner().invoke(
        main, ["extensions", *arguments, "--url", url.render_as_string(hide_password=False)]
    )


def test_check_passes_on_a_ready_database(database_url: sa.URL) -> None:
    done = extensions("check", url=database_url)
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["btree_gist", "pg_sphere"]
    assert done.stderr == ""


def test_what_check_misses_install_brings(empty_database: Callable[[], sa.URL]) -> None:
    url = empty_database()
    missing = extensions("check", url=url)
    assert missing.exit_code == 1
    assert missing.stdout == ""
    assert missing.stderr.startswith("Error: tapdb needs the PostgreSQL extension btree_gist;")
    assert missing.stderr.count("tapdb needs the PostgreSQL extension") == 2

    planned = extensions("install", "--dry-run", url=url)
    assert planned.exit_code == 0
    assert planned.stdout.startswith('CREATE EXTENSION "btree_gist" SCHEMA "public";\n')
    assert extensions("check", url=url).exit_code == 1

    installed = extensions("install", url=url)
    assert (installed.exit_code, installed.stderr) == (0, "Installed: btree_gist, pg_sphere\n")
    assert extensions("check", url=url).exit_code == 0
    assert extensions("install", url=url).stderr == "Nothing to install.\n"
