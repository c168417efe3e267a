"""Many clients at once, some of whom hang up: each has its answer or 503, and nothing is left of them."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from tests.plugins.service_fixtures import PLAIN, service_process, wait_for
from tests.services.test_hangups import ONE, SORTS

CLIENTS = 50
QUERIES = (
    ONE,
    "SELECT * FROM ivoa.ObsCore",
    "SELECT COUNT(*) AS n FROM ivoa.ObsCore AS a, ivoa.ObsCore AS b",
    "SELECT obs_id FROM ivoa.ObsCore WHERE CONTAINS(POINT(0, 0), s_region) = 1",
    "SELECT nothing FROM ivoa.ObsCore",
)
BROUGHT = "SELECT COUNT(*) AS n FROM TAP_UPLOAD.mine AS m, ivoa.ObsCore AS o WHERE m.obs_id = o.obs_id"
UPLOAD = b"""<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="obs_id" datatype="char" arraysize="*"/>
<DATA><TABLEDATA><TR><TD>a</TD></TR><TR><TD>b</TD></TR></TABLEDATA></DATA>
</TABLE></RESOURCE></VOTABLE>"""
EXPECTED = {200, 400, 503}


def ask_until(url: str, end: float, seed: int) -> Counter[int | str]:
    """Send queries one after the other, and give up on some; return how often there was which answer."""
    chosen, found = random.Random(seed), Counter[int | str]()
    with httpx.Client(verify=PLAIN) as client:
        while time.monotonic() < end:
            slow = chosen.random() < 0.1
            query = SORTS if slow else chosen.choice(QUERIES)
            data, files = {"QUERY": query}, None
            if chosen.random() < 0.1:
                query, slow = BROUGHT, False
                data, files = {"QUERY": BROUGHT, "UPLOAD": "mine,param:part"}, {"part": UPLOAD}
            try:
                response = client.post(
                    f"{url}/tap/sync",
                    data=data,
                    files=files,
                    timeout=chosen.uniform(0.05, 0.3) if slow else 60,
                )
            except httpx.TimeoutException:
                found["hung up"] += 1
            else:
                whole = response.content.rstrip().endswith(b"</VOTABLE>")
                found[response.status_code if whole else "cut off"] += 1
                found["brought"] += query == BROUGHT and response.status_code == 200
    return found


def memory(process: int) -> int:
    """Return how many bytes of memory a process has."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return 1024 * int(kilobytes)


@pytest.mark.parametrize(
    "seconds", [pytest.param(4, id="short"), pytest.param(60, id="long", marks=pytest.mark.soak)]
)
def test_fifty_clients_have_their_answers_and_leave_nothing(served_database: sa.URL, seconds: int) -> None:
    count = sa.text(
        "SELECT count(*) FILTER (WHERE state = 'active'), count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'tapdb serve'"
    )
    engine = sa.create_engine(served_database, isolation_level="AUTOCOMMIT")
    with service_process(served_database) as (process, url), engine.connect() as connection:
        with ThreadPoolExecutor(CLIENTS) as pool:
            end = time.monotonic() + seconds
            answers = [pool.submit(ask_until, url, end, seed) for seed in range(CLIENTS)]
            time.sleep(seconds / 3)
            early = memory(process.pid)
            found = sum((one.result() for one in answers), Counter[int | str]())
        assert wait_for(lambda: connection.execute(count).one()[0] == 0)
        assert connection.execute(count).one()[1] <= 20
        assert set(found) <= {*EXPECTED, "hung up", "brought"}, found
        assert found["brought"] > 0
        assert found[200] > CLIENTS
        assert found["hung up"] > 0
        assert memory(process.pid) - early < 50e6
        text = httpx.get(f"{url}/metrics").text
        assert "tapdb_queries_running 0.0" in text
        assert "tapdb_queries_waiting 0.0" in text
    engine.dispose()
