"""Operations of a revision: frozen texts replace each other, verbatim, online and as a script."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from tapdb.errors import FrozenSourceError
from tapdb.migrate.operations import SetObjectVersionsOp
from tapdb.server.environment import client_environment
from tapdb.sources import digest

# What a driver or SQLAlchemy could take for a parameter, and a tab that Alembic's own output would replace.
VERBATIM = "ivo://a:b/c?x=50%% %s %(x)s :x \\\\ \t"


def write(folder: Path, name: str, version: int, drop: str, create: str, requires: str = "") -> None:
    head = f"-- For a test.\n-- requires: {requires}\n" if requires else "-- For a test.\n"
    text = f"{head}-- drop\n{drop}\n-- create\n{create}\n"
    path = folder / "frozen" / f"{name}@{version:03d}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"-- sha256 {digest(text)}\n{text}")


def function(name: str, body: str) -> tuple[str, str]:
    return (
        f"DROP FUNCTION IF EXISTS {name}();",
        f"CREATE FUNCTION {name}() RETURNS text LANGUAGE sql RETURN {body};\nSELECT 1;",
    )


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Return a migrations folder with versions of f, g which calls f, and h."""
    (tmp_path / "versions").mkdir()
    write(tmp_path, "functions/public.f", 1, *function("public.f", "'one'"))
    write(tmp_path, "functions/public.f", 2, *function("public.f", "'two'"))
    write(
        tmp_path,
        "functions/public.g",
        1,
        *function("public.g", "public.f() || '!'"),
        requires="functions/public.f",
    )
    write(tmp_path, "functions/public.h", 1, *function("public.h", f"'{VERBATIM}'"))
    return tmp_path


@pytest.fixture
def op(connection: sa.Connection, scripts: Path) -> Iterator[Any]:
    connection.connection.driver_connection.prepare_threshold = None  # type: ignore[union-attr]
    context = MigrationContext.configure(connection, opts={"script": ScriptDirectory(scripts)})
    with Operations.context(context) as operations:
        yield operations


def call(connection: sa.Connection, function: str) -> str | None:
    if connection.scalar(sa.text("SELECT to_regproc(:name)"), {"name": function}) is None:
        return None
    return str(connection.scalar(sa.text(f"SELECT {function}()")))


def test_a_version_comes_is_replaced_goes_back_and_goes(connection: sa.Connection, op: Any) -> None:
    seen = []
    for new, old in ((1, None), (2, 1), (1, 2), (None, 1)):
        op.set_object_version("functions/public.f", new=new, old=old)
        seen.append(call(connection, "public.f"))
    assert seen == ["one", "two", "one", None]


def test_text_reaches_the_database_as_it_stands(connection: sa.Connection, op: Any) -> None:
    op.set_object_version("functions/public.h", new=1, old=None)
    assert call(connection, "public.h") == VERBATIM


def test_the_same_text_can_be_sent_any_number_of_times(connection: sa.Connection, op: Any) -> None:
    for _ in range(12):
        op.set_object_version("functions/public.h", new=1, old=None)
        op.set_object_version("functions/public.h", new=None, old=1)
    assert call(connection, "public.h") is None


def test_objects_that_use_each_other_change_together(connection: sa.Connection, op: Any) -> None:
    first = [("functions/public.g", 1), ("functions/public.f", 1)]
    second = [("functions/public.g", 1), ("functions/public.f", 2)]
    op.set_object_versions(new=first, old=[])
    assert call(connection, "public.g") == "one!"
    op.set_object_versions(new=second, old=first)
    assert call(connection, "public.g") == "two!"
    op.set_object_versions(new=[], old=second)
    assert call(connection, "public.f") is None


def test_an_object_that_others_use_is_not_taken_away(connection: sa.Connection, op: Any) -> None:
    op.set_object_versions(new=[("functions/public.f", 1), ("functions/public.g", 1)], old=[])
    with pytest.raises(sa.exc.DBAPIError, match="other objects depend on it") as caught:
        op.set_object_version("functions/public.f", new=2, old=1)
    assert caught.value.__notes__ == ["while it was to drop functions/public.f version 1"]


def test_a_foreign_object_of_the_same_name_is_not_overwritten(connection: sa.Connection, op: Any) -> None:
    connection.execute(sa.text("CREATE FUNCTION public.f() RETURNS text LANGUAGE sql RETURN 'foreign'"))
    savepoint = connection.begin_nested()
    with pytest.raises(sa.exc.DBAPIError, match="already exists"):
        op.set_object_version("functions/public.f", new=1, old=None)
    savepoint.rollback()
    assert call(connection, "public.f") == "foreign"


def test_nothing_is_sent_if_one_of_the_texts_was_edited(
    connection: sa.Connection, op: Any, scripts: Path
) -> None:
    path = scripts / "frozen" / "functions" / "public.g@001.sql"
    path.write_text(path.read_text().replace("!", "?"))
    with pytest.raises(FrozenSourceError, match="edited after it was frozen"):
        op.set_object_versions(new=[("functions/public.f", 1), ("functions/public.g", 1)], old=[])
    assert call(connection, "public.f") is None


def test_a_script_holds_the_texts_as_they_stand_and_psql_runs_it(
    connection: sa.Connection, database_url: sa.URL, scripts: Path
) -> None:
    script = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={"script": ScriptDirectory(scripts), "as_sql": True, "output_buffer": script},
    )
    operations: Any
    with Operations.context(context) as operations:
        operations.set_object_versions(
            new=[("functions/public.h", 1), ("functions/public.g", 1), ("functions/public.f", 2)], old=[]
        )
    assert "-- create functions/public.f version 2\n" in script.getvalue()
    subprocess.run(
        ["psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env=client_environment(database_url),
        input=script.getvalue(),
        text=True,
        check=True,
    )
    assert call(connection, "public.h") == VERBATIM
    assert call(connection, "public.g") == "two!"


def test_an_operation_knows_its_opposite() -> None:
    operation = SetObjectVersionsOp(new=(("functions/a.f", 2),), old=(("functions/a.f", 1),))
    assert operation.reverse().reverse().to_diff_tuple() == operation.to_diff_tuple()
    assert operation.reverse().to_diff_tuple() == (
        "set_object_versions",
        (("functions/a.f", 1),),
        (("functions/a.f", 2),),
    )
