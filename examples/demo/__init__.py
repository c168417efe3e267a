"""The main job on real input, start to end: ``tapdb ephemeral -- python -m examples.demo``."""
