"""Services over HTTP: a handler parses a request, calls one function, renders what it returns; no SQL.

`settings` and `errors`, then what requests have in common: `parameters` (what), `identity` (who),
`quotas` (how much), `waiting` (clients that hang up), `database` (connections, and what is published),
`observing` (log and figures), `worker` (of jobs), `service` (what handlers share), `gate` (proxies, headers);
`running` is work of the database that can be cancelled, `results` sends its rows; `tap` is the TAP service,
`files` gives files away, `watch` pushes new rows, `datalink` says what belongs to what, `simple` are
searches by parameters and identifiers, `replay` has records of results, `documentation` has `/docs`, `page`
is for people; `application` puts the parts together, `cli` is ``tapdb serve``.
"""
