"""Programs of others over Butler data, under a QuantumGraph, and what is known of how datasets were made.

Read `errors`, `templates` (arguments), `program` (one execution, ended whole), `digests` (equal values),
`storage` (files kept as they are), `config` (inputs and outputs by configuration), `placing` (datasets to
files, files to datasets), `task` (the PipelineTask), `description` (a pipeline from a few lines), `running`
(graph, run, what is kept of it), `checking` (what would fail), `provenance` (graphs in PostgreSQL),
`recreate` (purged datasets), `recreation_job` (that as a job), `derived` (what others get) and `cli`.
"""
