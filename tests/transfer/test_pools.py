"""The database threads: who has stood in line for one for too long is refused before anything is done for it."""

import asyncio
import threading

import pytest

from portal.exceptions import ServerBusy
from portal.transfer import pools
from portal.transfer.pools import Jobs


@pytest.fixture
def kept_busy(monkeypatch):
    """All database threads work until the event that this gives is set."""
    release = threading.Event()
    monkeypatch.setattr(pools, "QUEUE_SECONDS", 0.2)
    for _ in range(pools.DATABASE_THREADS):
        pools.database.submit(release.wait, 30)
    yield release
    release.set()


@pytest.mark.parametrize("run", ["run_database", "run_request"])
def test_the_first_step_of_a_request_is_refused_after_a_while_and_a_later_one_never(kept_busy, run):
    done = []

    async def ask():
        new, under_way = Jobs(), Jobs()
        await under_way.run_io(done.append, "begun")
        steps = [
            asyncio.ensure_future(getattr(new, run)(done.append, "late")),
            asyncio.ensure_future(getattr(under_way, run)(done.append, "goes on")),
        ]
        await asyncio.sleep(0.4)
        in_time = asyncio.ensure_future(getattr(Jobs(), run)(done.append, "in time"))
        await asyncio.sleep(0)
        kept_busy.set()
        return await asyncio.gather(*steps, in_time, return_exceptions=True)

    refused, *others = asyncio.run(ask())
    assert isinstance(refused, ServerBusy)
    assert others == [None, None]
    assert sorted(done) == ["begun", "goes on", "in time"]
