"""Chunks of an APDB, as they arrive in the PPDB.

`chunk` is one of them and the plan of many, `target` what the PPDB has, `publish_statements` the SQL that
brings one in. `chunk_writer` runs it, `apdb_source` reads the chunks, `replicate` copies them once and
`service` until it is stopped.
"""
