"""The SELECT of a view, built as a tree of SQLAlchemy: without a database.

`kept_rows` reads what Butler's tables say of regions and observations, `relations` joins them to a tags
table and restricts it, `text` writes format strings, `release_dates` say when a dataset is public and
`stored_files` what is stored of it, `row` fills the columns of one dataset. `kept_tables` names the kept
tables, `kept_layout` decides which column is kept where, `kept_sources` says what each is to hold.
`statement` makes the view of them, or of branches over Butler's tables, and `combined` one view of the kept
tables of several.
"""
