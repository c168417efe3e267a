"""Execute the notebooks of ``docs/notebooks`` against a service over the example database, and store outputs.

``tapdb ephemeral --example -- python -m tools.notebooks`` does it once; tests do it each time, and look at
what the notebooks have drawn.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

__all__ = ["NOTEBOOKS", "example_service", "execute"]

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"

_LONGEST_S = 120
_TAPDB = str(Path(sys.executable).with_name("tapdb"))


@contextmanager
def example_service(files: Path, environment: dict[str, str]) -> Iterator[str]:
    """Serve an example database as the notebooks say, with links and files; give the URL.

    Parameters
    ----------
    files
        Folder of the example's files.
    environment
        Variables that name the database.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = environment | {"TAPDB_DATASTORES": f"demo={files / 'butler'}"}
    publish = ["tap-schema", "publish", "--datalink", "resource://obscore_view/links.yaml"]
    subprocess.run([_TAPDB, *publish], env=variables, check=True, stdout=subprocess.DEVNULL)
    command = [_TAPDB, "serve", "--port", str(port), "--jobs", "none", "--log-level", "warning"]
    with subprocess.Popen(command, env=variables) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            end = time.monotonic() + _LONGEST_S
            while not _answers(url):
                assert process.poll() is None, "tapdb serve has ended"
                assert time.monotonic() < end, "tapdb serve does not answer"
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()


def execute(
    notebook: Path, url: str, environment: dict[str, str], probes: Sequence[str] = ()
) -> tuple[nbformat.NotebookNode, list[str]]:
    """Return a notebook with the outputs that it has now, and what expressions after its last cell print.

    Parameters
    ----------
    notebook
        The file.
    url
        URL of the service.
    environment
        Variables of the kernel, beside those that say where the service is.
    probes
        Cells that are run at the end and are not in the notebook that is returned.

    Raises
    ------
    CellExecutionError
        Raised if a cell fails.
    """
    content = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    length = len(content.cells)
    content.cells += [nbformat.v4.new_code_cell(one) for one in probes]  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory() as folder:
        client: Any = NotebookClient(
            content,
            # What a slow kernel prints in two parts is one text.
            coalesce_streams=True,
            timeout=_LONGEST_S,
            kernel_name="python3",
            record_timing=False,
            # Sockets in a folder of the user, not ports that others of the machine reach.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}}),
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment | {"TAPDB_SERVICE": url, "HOME": folder, "MPLBACKEND": ""})
    found = ["".join(output.get("text", "") for output in cell.outputs) for cell in content.cells[length:]]
    del content.cells[length:]
    return content, found


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def main() -> int:
    """Execute all notebooks in the database of the environment, and write them with their outputs."""
    environment = dict(os.environ)
    with example_service(Path(environment["TAPDB_EPHEMERAL_FILES"]), environment) as url:
        for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
            content, _ = execute(notebook, url, environment)
            nbformat.write(content, notebook)  # type: ignore[no-untyped-call]
            print(f"Wrote docs/notebooks/{notebook.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
