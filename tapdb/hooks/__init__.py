"""What one job wants of all others, asked through entry points.

`derived` objects are rebuilt around a migration; `descriptions` say what a job has made, for TAP_SCHEMA;
`identifiers` are those of datasets, for services.
"""
