"""Example databases and repositories, the demonstration; installed as ``tapdb_examples``."""
