"""Two requests for one part in one process: the later one waits, is told to come again, or takes over; and 408."""

import asyncio
import threading

import pytest

from portal.transfer import body, receive
from tests.samples import CHUNK, make_token, open_session, pattern
from tests.transfer.wire import Wire, call, own_thread_pools

DATA = pattern(CHUNK)
LENGTH = f"Content-Length: {CHUNK}"


@pytest.fixture
def part(transactional_db, ann, monkeypatch):
    """A function that makes a Wire for the one part of a session of ann's."""
    with own_thread_pools(monkeypatch):
        token, session = make_token(ann), open_session(ann, receive.get_storage(), size=CHUNK)
        yield lambda *lines, **options: Wire(
            "PUT", f"/uploads/sessions/{session.pk}/parts/1", LENGTH, *lines, token=token, **options
        )


@pytest.fixture
def quick(monkeypatch):
    """Let seconds pass as tenths."""
    monkeypatch.setattr(receive, "LOCK_SECONDS", 1.0)
    monkeypatch.setattr(receive, "LOCK_POLL_SECONDS", 0.01)
    monkeypatch.setattr(receive, "GIVE_WAY_SECONDS", 1.5)
    monkeypatch.setattr(body, "SILENCE_SECONDS", 3.0)
    monkeypatch.setattr(body, "TICK_SECONDS", 0.05)


async def hang(wire, size=1000):
    """Start a request that sends `size` bytes and no more; return its task once it is being read."""
    wire.feed(DATA[:size])
    task = asyncio.create_task(wire.run())
    while wire.asked < 2:
        await asyncio.sleep(0.01)
    return task


def test_a_part_that_another_request_is_writing_is_busy(part, quick):
    async def scene():
        first, second = part(), part(body=DATA)
        task = await hang(first)
        await second.run()
        first.feed(DATA[1000:], more=False)
        await task
        return first, second

    first, second = asyncio.run(scene())
    assert (second.status, second.code) == (409, "part_busy")
    assert int(second.header("retry-after")) > 0
    assert second.header("connection") == "close"
    assert first.status == 200


def test_a_request_waits_for_the_one_that_is_writing(part, quick):
    async def scene():
        first, second = part(), part(body=DATA)
        task = await hang(first)
        later = asyncio.create_task(second.run())
        await asyncio.sleep(0.2)
        assert second.asked == 0, "nothing is read before its turn has come"
        first.feed(DATA[1000:], more=False)
        await asyncio.gather(task, later)
        return first, second

    first, second = asyncio.run(scene())
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body


def test_other_bytes_that_waited_are_a_conflict(part, quick):
    async def scene():
        first, second = part(), part(body=pattern(CHUNK, seed="other"))
        task = await hang(first)
        later = asyncio.create_task(second.run())
        await asyncio.sleep(0.2)
        first.feed(DATA[1000:], more=False)
        await asyncio.gather(task, later)
        return first, second

    first, second = asyncio.run(scene())
    assert first.status == 200
    assert (second.status, second.code) == (409, "part_conflict")


def test_a_silent_writer_gives_way_to_a_newer_one(part, quick, monkeypatch):
    monkeypatch.setattr(receive, "GIVE_WAY_SECONDS", 0.3)

    async def scene():
        first, second = part(), part(body=DATA)
        task = await hang(first)
        await asyncio.gather(second.run(), task)
        return first, second

    first, second = asyncio.run(scene())
    assert (first.status, first.code) == (409, "part_busy")
    assert second.status == 200


def test_one_who_leaves_makes_room_at_once(part, quick):
    async def scene():
        first, second = part(), part(body=DATA)
        task = await hang(first)
        first.leave()
        await asyncio.gather(second.run(), task)
        return first, second

    first, second = asyncio.run(scene())
    assert (first.status, first.code) == (400, "incomplete_body")
    assert second.status == 200


def test_a_cancelled_request_records_nothing_and_makes_room(part, quick):
    async def scene():
        task = await hang(part())
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return await part(body=pattern(CHUNK, seed="other")).run()

    assert asyncio.run(scene()).status == 200


def test_a_request_cancelled_while_it_takes_the_range_makes_room(part, quick, monkeypatch):
    begun, cancelled, taken, take = threading.Event(), threading.Event(), threading.Event(), receive._open_part

    def take_late(opened, *arguments):
        begun.set()
        cancelled.wait(10)
        take(opened, *arguments)
        kept.append(opened[0])  # or the garbage collector would give the range up
        taken.set()

    async def scene():
        with monkeypatch.context() as late:
            late.setattr(receive, "_open_part", take_late)
            task = asyncio.create_task(part().run())
            await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
        cancelled.set()
        await asyncio.wait([task])
        await asyncio.to_thread(taken.wait, 10)
        return await part(body=DATA).run()

    kept = []
    assert asyncio.run(scene()).status == 200


def test_silence_is_408_and_records_nothing(part, quick, monkeypatch):
    monkeypatch.setattr(body, "SILENCE_SECONDS", 0.2)

    async def scene():
        first = part()
        await (await hang(first))
        return first, await part(body=pattern(CHUNK, seed="other")).run()

    first, second = asyncio.run(scene())
    assert (first.status, first.code) == (408, "request_timeout")
    assert first.header("connection") == "close"
    assert first.asked == 2, "nothing is drained of a body that does not come"
    assert second.status == 200


def test_a_drip_is_408(part, quick, monkeypatch):
    monkeypatch.setattr(body, "RATE_SECONDS", 0.5)

    async def scene():
        wire = part()
        task = asyncio.create_task(wire.run())
        while not task.done():
            wire.feed(b"x")
            await asyncio.sleep(0.05)
        await task
        return wire

    wire = asyncio.run(scene())
    assert (wire.status, wire.code) == (408, "request_timeout")


def test_silence_at_the_json_door_is_408_too(part, quick, monkeypatch):
    monkeypatch.setattr(body, "SILENCE_SECONDS", 0.2)
    wire = call("POST", "/batches", "Content-Length: 10", body=None)
    assert (wire.status, wire.code) == (408, "request_timeout")
