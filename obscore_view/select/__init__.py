"""The SELECT of a view, built as a tree of SQLAlchemy: no database is asked.

`text` writes format strings, `kept_rows` fills the kept tables and `kept_tables` names them, `relations`
joins them to Butler's tables and restricts them, `row` fills the columns of one dataset, `statement`
puts the branches together.
"""
