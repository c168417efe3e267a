"""TAP 1.1 below ``/tap``: handlers parse a request, call one function, and render what it returns.

`jobs` has the resources of asynchronous jobs.
"""
