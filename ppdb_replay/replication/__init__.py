"""Copying an APDB into a PPDB: `apdb_source` reads, `chunk_writer` writes, what lies between is pure."""

__all__: list[str] = []
