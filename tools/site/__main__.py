"""Build the site: ``python -m tools.site [--output FOLDER]``; a warning is an error."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from services.documentation import FOLDER
from tools.site.pages import ROOT, stage

_CACHE = ROOT / ".cache" / "site"


def build(output: Path, cache: Path) -> int:
    """Build the site, and put it in its place only if there was no warning; return the exit status.

    Parameters
    ----------
    output
        Folder of the site, which is replaced.
    cache
        Folder for staged pages, what Sphinx has read of them, and the site as it is built.
    """
    staged, built = cache / "pages", cache / "html"
    stage(staged)
    shutil.rmtree(built, ignore_errors=True)
    options = ["--quiet", "--fail-on-warning", "--nitpicky", "--builder", "html"]
    folders = ["--conf-dir", str(Path(__file__).parent), "--doctree-dir", str(cache / "doctrees")]
    status = build_main([*options, *folders, str(staged), str(built)])
    if status == 0:
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(built, output, ignore=shutil.ignore_patterns(".buildinfo*", "objects.inv"))
    return status


def main(arguments: list[str]) -> int:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the site")
    parser.add_argument("--cache", type=Path, default=_CACHE, help="folder of what is built on the way")
    given = parser.parse_args(arguments)
    status = build(given.output.resolve(), given.cache.resolve())
    if status == 0:
        print(f"{given.output}: {sum(1 for _ in given.output.rglob('*.html'))} pages")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
