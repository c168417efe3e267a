"""``tapdb query``: where ADQL meets a database. `adql` itself knows none."""
