"""``tapdb serve``: the services over HTTP."""

import asyncio
import errno
import os
import signal
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import click

from tapdb.cli.output import url_option
from tapdb.errors import SettingsError
from tapdb.extras import from_extra
from tapdb.settings import LOG_LEVELS, read_settings


class _Explained(click.Command):
    """A command whose help ends with the variables that it reads."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the variables, each with its default."""
        super().format_epilog(ctx, formatter)
        from services.settings import ServiceSettings  # noqa: PLC0415

        with formatter.section("Variables"):
            formatter.write_dl(
                [
                    (f"TAPDB_{name.upper()}", f"{field.description}{_default(field.default)}")
                    for name, field in ServiceSettings.model_fields.items()
                ]
            )


def _default(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
    return f"  [default: {text.lower() if isinstance(value, bool) else text}]" if text else ""


def _require_free(host: str, port: int) -> None:
    """Look whether the service can listen there, before it begins anything that has to be ended again.

    Raises
    ------
    SettingsError
        Raised if it cannot: the port is taken or needs more rights, or the host is no address of the machine.
    """

    async def listen() -> None:
        (await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)).close()

    try:
        asyncio.run(listen())
    except OSError as error:
        of_port = error.errno in {errno.EADDRINUSE, errno.EACCES}
        raise SettingsError(
            "--port" if of_port else "--host",
            f"the service cannot listen on {host}: {error.strerror}",
            "take another port; 0 takes a free one" if of_port else "name an address of this machine",
        ) from error


@click.command(cls=_Explained)
@url_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address on which the service listens.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port; 0 takes a free one.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Number of processes; before TAPDB_WORKERS.")
@click.option("--root-path", metavar="PATH", help="Path at which a proxy offers it; before TAPDB_ROOT_PATH.")
@click.option(
    "--jobs",
    type=click.Choice(("here", "elsewhere", "none")),
    help="Who runs asynchronous jobs: a process of the service, tapdb queue work, nobody; before TAPDB_JOBS.",
)
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    show_default=True,
    help="Least severe message; each request is one of level info.",
)
def serve(
    url: str | None,
    host: str,
    port: int,
    workers: int | None,
    root_path: str | None,
    jobs: str | None,
    log_level: str,
) -> None:
    """Serve TAP 1.1 over HTTP, at http://HOST:PORT/tap.

    What TAP_SCHEMA publishes can be queried, in the role tapdb_reader. The service answers until it gets
    SIGTERM or Ctrl-C: then it takes no more requests, and lets queries end that run.

    Results of asynchronous jobs lie in the folder that TAPDB_JOBS_DIRECTORY names; without it, in one that
    goes with the service.
    """
    with from_extra("serve", "tapdb serve"):
        import uvicorn  # noqa: PLC0415

        from services.database import Database  # noqa: PLC0415
        from services.documentation import Site  # noqa: PLC0415
        from services.files import Files  # noqa: PLC0415
        from services.files.signing import write_key  # noqa: PLC0415
        from services.identity import Authenticator  # noqa: PLC0415
        from services.observing import log_config  # noqa: PLC0415
        from services.quotas import Quotas  # noqa: PLC0415
        from services.settings import read_service_settings  # noqa: PLC0415
        from services.tap.jobs import AsyncJobs  # noqa: PLC0415
        from services.worker import job_worker  # noqa: PLC0415
    # Each process reads the environment.
    given = {
        "TAPDB_URL": url,
        "TAPDB_ROOT_PATH": root_path,
        "TAPDB_JOBS": jobs,
        "TAPDB_WORKERS": None if workers is None else str(workers),
    }
    os.environ.update({name: value for name, value in given.items() if value is not None})
    settings = read_service_settings()
    Authenticator(settings), Quotas(settings)
    _require_free(host, port)
    # The server hands the signal on when it has stopped: what it has needed is put away then.
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, lambda *_: sys.exit()))
        # A terminal that is closed ends the service as SIGTERM does; not under nohup.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
            stack.callback(signal.signal, signal.SIGHUP, signal.SIG_DFL)
        if read_settings().jobs_directory is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tapdb-jobs-"))
            os.environ["TAPDB_JOBS_DIRECTORY"] = folder
            stack.callback(os.environ.pop, "TAPDB_JOBS_DIRECTORY", None)
        if settings.signing_key_file is None:
            # All processes sign with one key, and know each other's links.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tapdb-key-"))
            write_key(Path(folder) / "key")
            os.environ["TAPDB_SIGNING_KEY_FILE"] = f"{folder}/key"
            stack.callback(os.environ.pop, "TAPDB_SIGNING_KEY_FILE", None)
        Files.of_settings(settings)
        Site.of_settings(settings)
        offered = AsyncJobs.of_settings(settings, None)
        if offered is not None:
            try:
                offered.check()
            finally:
                offered.engine.dispose()
        with closing(Database(settings)) as database:
            database.publication()
        if offered is not None and settings.jobs == "here":
            stack.enter_context(job_worker(log_level))
        if settings.workers > 1:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tapdb-metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            "services.application:application",
            factory=True,
            host=host,
            port=port,
            workers=settings.workers,
            log_config=log_config(settings, log_level),
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=settings.stop_seconds,
        )
