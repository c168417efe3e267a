"""The journal of a view: what each committed transaction has brought, and the rows that queries gain by it.

Read `entries` (the record of a journal, triggers, entries), `watching` (what a query gains between two
positions) and `offered` (what others are given); `sql/functions/tapdb.note_journal.sql` and
``tapdb.journal_changes.sql`` do the work.
"""
