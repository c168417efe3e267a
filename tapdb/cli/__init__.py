"""The command ``tapdb``: `session`, `output` and `following` are for the commands of all packages.

`migrate`, `sql`, `queue`, `extensions` and `ephemeral` are commands of this one, `root` finds all of them.
The entry point itself is here, since it must not import the rest.
"""

from tapdb.extras import importing, let_end


def main() -> None:
    """Run the command ``tapdb``: the entry point, which imports everything else."""
    with importing():
        from tapdb.cli.root import main as command  # noqa: PLC0415 - nothing can say yet that it was interrupted
    try:
        command()
    finally:
        let_end()
