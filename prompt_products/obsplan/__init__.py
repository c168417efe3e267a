"""Observations that are planned and performed, as ObsLocTAP 1.0 has them: ``ivoa.obsplan``.

Read `plan_columns` (the standard), `plan_file` (a schedule), `plan_store` (what is stored of it), `performed`
(what registries say was performed).
"""
