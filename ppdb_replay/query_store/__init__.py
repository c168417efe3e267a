"""The store of queries: what is cited, and found again by its identifier.

`stored_query` is what the store holds, `store` puts and finds it, `checks` replays all of them, `landing`
shows one to people and programs.
"""
