"""Asynchronous jobs by UWS 1.1: rows of the database, run by the workers of the job queue.

Read `job` (what a job is, and which phase may follow which), `document` (what clients read of it), `store`
(jobs in the database), `files` (their results), `wait` (until one changes) and `run` (what a worker does).
"""
