"""Listen to a channel of PostgreSQL as long as the process lives, on one connection after another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import sqlalchemy as sa
from psycopg import sql

_AGAIN_S = 1
_CANCEL_AGAIN_S = 0.5

_log = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    url: sa.URL, channel: str, told: Callable[[str | None], None], *, application_name: str
) -> AsyncIterator[None]:
    """Listen to a channel inside of the block, on one connection, which is made again when it is lost.

    Parameters
    ----------
    url
        The database.
    channel
        The channel.
    told
        Called with the payload of each message, and with None whenever messages may have been missed.
    application_name
        Name under which a DBA sees the session.
    """
    task = asyncio.create_task(_listen(url, channel, told, application_name))
    try:
        yield
    finally:
        # What it waits for may end with an error of its own in the place of the cancellation.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_AGAIN_S)


async def _listen(
    url: sa.URL, channel: str, told: Callable[[str | None], None], application_name: str
) -> None:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    listen = sql.SQL("LISTEN {}").format(sql.Identifier(channel))
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                "" if plain == "postgresql://" else plain, autocommit=True, application_name=application_name
            ) as connection:
                await connection.execute(listen)
                # Something may have happened while nobody listened.
                told(None)
                async for message in connection.notifies():
                    told(message.payload)
        except psycopg.OperationalError as error:
            # Those who wait look by themselves meanwhile.
            _log.warning("%s: listening to %s: %s", application_name, channel, str(error).splitlines()[0])
        await asyncio.sleep(_AGAIN_S)
