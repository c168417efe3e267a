"""Files of datasets at ``/files``, behind links that the service has signed.

`ranges` says which bytes are wanted, `signing` makes links and knows its own, `datastores` opens the file,
`download` answers.
"""

from starlette.routing import BaseRoute, Route

from services.files.download import Download, Files


def routes(files: Files) -> list[BaseRoute]:
    """Return the routes of files, below their own path."""
    return [Route("/{dataset}", Download(files), methods=["GET"])]


__all__ = ["Files", "routes"]
