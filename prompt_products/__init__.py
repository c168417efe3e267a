"""Prompt products: what the camera has covered, what was planned and observed, in the words of others too.

Read `errors` (what can be wrong), `coverage` (kept, read, written, drawn), `presence` (what is stored, and
what is to go), `journal` (what each commit brings), `over_obscore` (views that stay out of the way of an
ObsCore view), `caom` (CAOM2), `obsplan` (ObsLocTAP), `observing_log` (ConsDB beside datasets), `derived` and
`publishing` (what others are given), `cli` (the commands).
"""
