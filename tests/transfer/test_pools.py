"""The threads that ask the database: who has stood in line for one for too long is refused before all else."""

import asyncio
import threading
from functools import partial

import pytest

from boot.wsgi_bridge import WsgiBridge
from portal.exceptions import ServerBusy
from portal.transfer import pools
from portal.transfer.pools import Jobs
from portal.transfer.whole_intake import Intake
from tests.boot.wsgi_application import Application, anybody
from tests.transfer.wire import Wire


@pytest.fixture
def kept_busy(monkeypatch):
    """All database threads work until the event that this gives is set."""
    release = threading.Event()
    monkeypatch.setattr(pools, "QUEUE_SECONDS", 1.0)
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
            asyncio.ensure_future(getattr(new, run)(partial(done.append, "late"))),
            asyncio.ensure_future(getattr(under_way, run)(partial(done.append, "goes on"))),
        ]
        await asyncio.sleep(1.2)
        in_time = asyncio.ensure_future(getattr(Jobs(), run)(partial(done.append, "in time")))
        await asyncio.sleep(0)
        kept_busy.set()
        return await asyncio.gather(*steps, in_time, return_exceptions=True)

    refused, *others = asyncio.run(ask())
    assert isinstance(refused, ServerBusy)
    assert others == [None, None]
    assert sorted(done) == ["begun", "goes on", "in time"]


def test_a_file_that_has_stood_in_line_with_others_is_refused_too(monkeypatch):
    monkeypatch.setattr(pools, "QUEUE_SECONDS", -1)
    intake = Intake(None, None, None)
    with pytest.raises(ServerBusy):
        intake.begin()
    assert isinstance(intake.error, ServerBusy)
    assert not intake.unclean


def test_a_refusal_stands_in_line_once_and_whether_the_process_lives_is_told_at_once(kept_busy):
    app, later = Application(b"answer"), threading.Event()

    async def ask():
        waits = asyncio.ensure_future(Wire("GET", "/batches").run(WsgiBridge(app, admit=anybody)))
        await asyncio.sleep(1.2)
        for _ in range(pools.DATABASE_THREADS):
            pools.database.submit(later.wait, 30)
        alive = await asyncio.wait_for(Wire("GET", "/healthz").run(WsgiBridge(app, admit=anybody)), 20)
        kept_busy.set()
        return alive, await asyncio.wait_for(waits, 20)

    try:
        alive, refused = asyncio.run(ask())
    finally:
        later.set()
    assert alive.status == 200
    assert (refused.status, refused.code) == (503, "server_busy")
    assert len(app.environs) == 1
