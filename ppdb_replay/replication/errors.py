"""What is wrong with a request to replicate an APDB."""

from collections.abc import Sequence

from ppdb_replay.errors import PpdbError, PpdbNotReadyError


class ReplicationPackageError(PpdbError):
    """The software that reads an APDB is not installed.

    Parameters
    ----------
    package
        What could not be imported.
    """

    exit_code = 2

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(
            f"reading an APDB needs the package {package}, which is not installed\n"
            "Install it: pip install 'tapdb[replication]' (that is lsst-dax-apdb and psycopg2-binary)."
        )


class ApdbNotReadableError(PpdbError):
    """What was named is no APDB that can be replicated.

    Parameters
    ----------
    apdb
        What was named, without a password.
    problem
        What was found.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, apdb: str, problem: str, remedy: str) -> None:
        self.apdb = apdb
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"APDB {apdb}: {problem}; {remedy}")


class ApdbUnavailableError(PpdbError):
    """The APDB does not answer, or the connection to it was lost.

    Parameters
    ----------
    reason
        What its driver said, without a password.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the APDB does not answer: {reason}\n"
            "Check that its server runs, and that the configuration and .pgpass or PGPASSWORD let one in."
        )


class ReplicationSchemaError(PpdbNotReadyError):
    """The tables of the PPDB cannot take all that the APDB has.

    Parameters
    ----------
    schema
        Database schema of the PPDB.
    differences
        One line for each column that does not fit.
    """

    def __init__(self, schema: str, differences: Sequence[str]) -> None:
        self.schema = schema
        self.differences = tuple(differences)
        super().__init__(
            "\n".join(
                [f"the tables of schema {schema} do not fit the APDB:", *(f"  {one}" for one in differences)]
            ),
            "Nothing was written. Migrate the PPDB to the version of the schema that the APDB has.",
        )


class BusyConnectionError(PpdbError, ValueError):
    """A connection that is to commit chunk by chunk is in a transaction of its user."""

    def __init__(self) -> None:
        super().__init__(
            "the connection is in a transaction, and replication makes one for each chunk; commit it or roll "
            "it back first (psycopg begins one with any SELECT, unless the connection is set to autocommit)"
        )


class PpdbRefusedError(PpdbError):
    """The PPDB refused what replication asked of it.

    Parameters
    ----------
    asked
        What that was.
    reason
        What PostgreSQL said.
    """

    def __init__(self, asked: str, reason: str) -> None:
        self.asked = asked
        self.reason = reason
        super().__init__(f"the PPDB refused {asked}: {reason}\nChunks that were copied before are there.")


class UnknownUpdateRecordError(PpdbError):
    """The APDB has a kind of update record that this software does not know.

    Parameters
    ----------
    update_type
        Its name.
    """

    def __init__(self, update_type: str) -> None:
        self.update_type = update_type
        super().__init__(
            f'the APDB sent an update record of type "{update_type}", which is not known; '
            "nothing of its chunk was written. Install a newer release of tapdb, or take an older dax_apdb."
        )
