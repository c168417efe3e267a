"""The history of the PPDB in files, and the same queries on them.

`relations` says what an open lake is: what writes it and what asks it agree on that alone.
Read in this order: `relations`, `layout`, `storage`, `chain`, `rows`, `opening`, `pieces`,
`publishing`, `export`, `refresh` write it; `answering` and `serving` ask it.
"""
