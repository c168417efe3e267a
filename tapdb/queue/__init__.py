"""The one job queue: jobs are rows of the database, put there in the caller's transaction.

Read `task` (what a worker can run, and how that is found), `schema` (procrastinate's own SQL, from its
package), `client` (put jobs there, cancel them, count them) and `worker` (run them, end them, run those of
dead workers again).
"""
