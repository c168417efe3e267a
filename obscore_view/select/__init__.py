"""The SELECT of a view, built as a tree of SQLAlchemy: without a database.

`kept_rows` fills the kept tables and `kept_tables` names them, `relations` joins them to Butler's tables and
restricts them, `text` writes format strings, `row` fills the columns of one dataset, `statement` puts the
branches together.
"""
