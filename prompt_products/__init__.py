"""Prompt products: what the camera has covered, what was planned and observed, in the words of others too.

Read `errors` (what can be wrong), `over_obscore` (views that stay out of the way of an ObsCore view),
`caom` (CAOM2), `coverage` (kept, read, written, drawn), `obsplan` (ObsLocTAP), `presence` (what is stored,
and what is to go), `journal` (what each commit brings), `observing_log` (ConsDB beside datasets), `derived`
and `publishing` (what others are given), `cli` (the commands).
"""
