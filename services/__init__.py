"""Services over HTTP: a handler parses a request, calls one function, renders what it returns; no SQL.

`settings` and `errors`, then what requests have in common: `parameters` (what), `identity` (who),
`quotas` (how much), `waiting` (clients that hang up), `database` (connections, and what is published),
`observing` (log and figures), `worker` (of jobs), `service` (what handlers share), `gate` (proxies, headers);
`tap` is the TAP service, `replay` has records of results, `application` puts the parts together, `cli` is
``tapdb serve``.
"""
