"""The observing log: what ConsDB, the transformed EFD and people say of exposures, beside their datasets.

Read `log_columns` (what is taken from where), `log_views` (the views over the schemas that there are),
`nights` (a night as rows), `log_picture` (a night drawn).
"""
