"""The documentation as a site: ``python -m tools.site`` builds it.

`pages` says which pages there are, in which order, and stages them, with those that `api` makes of
docstrings; `conf` is Sphinx's configuration, `policy` takes scripts and styles out of built pages; `__main__`
runs the stages.
"""
