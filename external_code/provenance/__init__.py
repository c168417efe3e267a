"""Which data made which: the graph of a RUN brought into PostgreSQL, and read from there.

Read `run_graph` (a graph that a repository has kept), `loading` (into PostgreSQL), `lineage` (what a dataset
was made of, read there), `drawing` (that as a tree and as a picture).
"""
