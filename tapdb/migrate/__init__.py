"""Alembic as tapdb runs it.

`options` are what a user may say, `operations` are what revisions call, `drift` compares a database with
``sql/``, `autogenerate` gives differences to Alembic, `run` is the environment.
"""
