"""Services over HTTP: a handler parses a request, calls one function, renders what it returns; no SQL."""
