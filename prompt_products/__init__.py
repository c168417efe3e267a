"""Prompt products: what the camera has covered, and what values a search can ask for.

Read `errors` (what can be wrong), `coverage` (kept, read, written, drawn), `journal` (what each
commit brings), `presence` (what is stored, and what is to go), `derived` (what others are given), `cli` (the
commands).
"""
