"""A view and its kept tables in a database.

`published` writes the views that readers see, `asked` tells which names of collections a registry does not
have, `keeping` writes the statements that
follow each change of Butler's tables, `script` lists what a view consists of and writes its SQL, `store`
remembers from what a view was made, `combining` shows several as one, `needed_rights` says what a user
lacks, `changes` orders the statements of a change, `make` creates, refreshes and drops it. `parts` cuts the
making of a view over a large registry into short transactions, and `fill` runs these beside those who read
and write.
"""
