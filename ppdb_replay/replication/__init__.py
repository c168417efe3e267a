"""Chunks of an APDB, as they arrive in the PPDB.

`apdb_source` reads them, `chunk` is one of them and the plan of many, `target` what the PPDB has,
`publish_statements` and `chunk_writer` bring them in, `replicate` does it once and `service` until it is
stopped; `errors` are its own.
"""
