"""Observations in the words of CAOM 2.4: views over an ObsCore view, and XML that the package caom2 writes.

Read `caom_views` (what the views stand on), `caom_columns` (what TAP_SCHEMA says of them), `caom_objects`
(rows become observations), `caom_files` (XML).
"""
