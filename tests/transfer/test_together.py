"""What several requests ask for at once is taken in one step, and each has an outcome of its own."""

import asyncio
import contextvars
import gc
import threading
import weakref

import orjson
import pytest
from django.db import OperationalError

from portal.exceptions import NotFound
from portal.models import IngestFile, OutboxEvent, UploadBatch
from portal.services import whole_files
from portal.storage.base import NoSpace
from portal.transfer import together, whole, whole_intake
from portal.transfer.pools import Jobs, Places
from portal.transfer.together import Together
from tests.patience import wait_until
from tests.samples import make_batch, make_token
from tests.services.situations import seen_queries
from tests.transfer.at_once import assert_stored
from tests.transfer.wire import Wire


class Steps:
    """Steps that wait until they are let go, and remember what they were given."""

    def __init__(self, answer=lambda item: item):
        self.taken, self.gate, self.answer = [], threading.Event(), answer
        self.together = Together(self.work, "both")

    def work(self, items):
        self.taken.append(items)
        assert self.gate.wait(10)
        return [self.answer(item) for item in items]

    async def take(self, item, key="key"):
        """Ask for the step for `item`; return the task, which waits for its outcome."""
        task = asyncio.create_task(Jobs().run_together(self.together, key, item))
        await asyncio.sleep(0)
        return task


def outcomes(tasks):
    return asyncio.gather(*tasks, return_exceptions=True)


def test_those_who_come_meanwhile_are_taken_in_one_step(own_pools, monkeypatch):
    monkeypatch.setattr(together, "MOST", 3)
    steps = Steps(lambda item: item * 10)

    async def scene():
        tasks = [await steps.take(item) for item in range(6)]
        steps.gate.set()
        return await outcomes(tasks)

    assert asyncio.run(scene()) == [0, 10, 20, 30, 40, 50]
    assert steps.taken == [[0], [1, 2, 3], [4, 5]]


async def ask_again(steps, times, *, clients=4):
    """Each client asks so many times, the first once more, and again as soon as it is answered."""

    async def client(number):
        for _ in range(times + (number == 0)):
            await Jobs().run_together(steps.together, "key", number)

    await asyncio.gather(*map(client, range(clients)))


def test_those_who_ask_again_at_once_are_waited_for(own_pools, monkeypatch):
    monkeypatch.setattr(together, "LINGER_SECONDS", 10)
    steps = Steps()
    steps.gate.set()
    asyncio.run(asyncio.wait_for(ask_again(steps, 3), 5))
    assert list(map(len, steps.taken)) == [1, 4, 4, 4]


def test_those_who_do_not_ask_again_are_not_waited_for_long(own_pools):
    steps = Steps()

    async def scene():
        tasks = [await steps.take(item) for item in range(4)]
        steps.gate.set()
        assert await asyncio.wait_for(outcomes(tasks), 5) == [0, 1, 2, 3]
        async with asyncio.timeout(5):
            while steps.together._lines:
                await asyncio.sleep(together.LINGER_SECONDS)
            await (await steps.take(4))
        assert steps.together._lines == {}

    asyncio.run(scene())
    assert steps.taken == [[0], [1, 2, 3], [4]]


def test_the_line_waits_while_they_keep_coming(own_pools, monkeypatch):
    monkeypatch.setattr(together, "LINGER_SECONDS", 0.4)
    steps = Steps()

    async def scene():
        tasks = [await steps.take(item) for item in range(8)]
        steps.gate.set()
        await outcomes(tasks)
        # It is looked at after 0.4 s, with four there, and then after 0.8.
        for item in range(8, 14):
            tasks.append(await steps.take(item))
            await asyncio.sleep(0.1)
        await outcomes(tasks)

    asyncio.run(scene())
    assert steps.taken == [[0], [1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13]]


def test_as_many_as_one_step_takes_wait_for_nobody(own_pools, monkeypatch):
    monkeypatch.setattr(together, "MOST", 3)
    monkeypatch.setattr(together, "LINGER_SECONDS", 10)
    steps = Steps()

    async def scene():
        tasks = [await steps.take(item) for item in range(7)]
        steps.gate.set()
        await asyncio.wait_for(outcomes(tasks), 5)

    asyncio.run(scene())
    assert steps.taken == [[0], [1, 2, 3], [4, 5, 6]]


def test_while_a_step_is_under_way_none_is_begun_for_those_in_line(own_pools, monkeypatch):
    monkeypatch.setattr(together, "LINGER_SECONDS", 0.2)
    steps = Steps()

    async def scene():
        tasks = [await steps.take(item) for item in range(2)]
        steps.gate.set()
        # Both are there again, so the next step begins; nobody lets the line linger on beside it.
        await tasks[0]
        steps.gate.clear()
        tasks += [await steps.take(item) for item in range(2, 4)]
        await asyncio.sleep(0.5)
        begun = len(steps.taken)
        steps.gate.set()
        await outcomes(tasks)
        return begun

    assert asyncio.run(scene()) == 2
    assert steps.taken == [[0], [1, 2], [3]]


def test_who_asks_alone_waits_for_nobody(own_pools, monkeypatch):
    monkeypatch.setattr(together, "LINGER_SECONDS", 10)
    steps = Steps()
    steps.gate.set()
    asyncio.run(asyncio.wait_for(ask_again(steps, 3, clients=1), 5))
    assert steps.taken == [[0]] * 4


def test_one_key_does_not_wait_for_another(own_pools):
    steps = Steps()

    async def scene():
        tasks = [await steps.take(key, key=key) for key in "ab"]
        while len(steps.taken) < 2:
            await asyncio.sleep(0.01)
        steps.gate.set()
        return await outcomes(tasks)

    assert asyncio.run(scene()) == ["a", "b"]


def test_an_error_of_one_is_his_alone_and_one_of_the_step_is_everybodys(own_pools):
    steps = Steps(lambda item: ValueError(item) if item == 2 else item)

    async def scene():
        tasks = [await steps.take(item) for item in range(4)]
        steps.gate.set()
        return await outcomes(tasks)

    first, second, third, fourth = asyncio.run(scene())
    assert (first, second, fourth) == (0, 1, 3)
    assert isinstance(third, ValueError)
    steps = Steps(lambda item: 1 // 0)
    assert [type(error) for error in asyncio.run(scene())] == [ZeroDivisionError] * 4


def test_one_who_leaves_takes_nothing_from_the_others_and_is_cleared_up_after_the_step(own_pools):
    steps, order = Steps(lambda item: order.append(item) or item), []

    async def scene():
        jobs = [Jobs(), Jobs(), Jobs()]
        tasks = [asyncio.create_task(one.run_together(steps.together, "key", n)) for n, one in enumerate(jobs)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        closing = asyncio.create_task(jobs[1].close(lambda: order.append("closed")))
        await asyncio.sleep(0.05)
        assert order == []
        steps.gate.set()
        await closing
        return await outcomes(tasks)

    first, second, third = asyncio.run(scene())
    assert (first, third) == (0, 2)
    assert isinstance(second, asyncio.CancelledError)
    assert order.index("closed") > order.index(1)


def test_a_step_logs_for_the_first_that_it_takes(own_pools):
    request, seen = contextvars.ContextVar("request"), []
    steps = Steps(lambda item: seen.append((item, request.get())))

    async def scene():
        tasks = []
        for item in range(3):
            request.set(item)
            tasks.append(await steps.take(item))
        steps.gate.set()
        await outcomes(tasks)

    asyncio.run(scene())
    assert seen == [(0, 0), (1, 1), (2, 1)]


def test_the_error_of_one_who_has_left_is_no_fault_of_ours(own_pools, caplog):
    steps = Steps(ValueError)

    async def scene():
        tasks = [await steps.take(item) for item in range(2)]
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        steps.gate.set()
        return await outcomes(tasks)

    assert [type(error) for error in asyncio.run(scene())] == [asyncio.CancelledError, ValueError]
    gc.collect()
    assert caplog.messages == []


def test_small_files_that_come_at_once_are_recorded_together(put_at_once):
    files = {f"f{number}": b"%d" % number * 100 for number in range(9)}
    wires, sizes = put_at_once(*files.items())
    assert [wire.status for wire in wires] == [201] * 9
    assert sizes == [1, 8]
    assert_stored(put_at_once, **files)


def test_those_who_begin_together_ask_once_who_sends_them_for_their_batch_and_for_their_paths(put_at_once, monkeypatch):
    begin, asked = whole_intake._begin_together, []

    def begin_counted(items):
        with seen_queries() as queries:
            begun = begin(items)
        asked.append(len(queries))
        return begun

    monkeypatch.setattr(whole_intake, "_begin_together", begin_counted)
    _, sizes = put_at_once(*((f"f{number}", b"x") for number in range(9)))
    assert sizes == [1, 8]
    assert asked == ([3, 3] if put_at_once.early else [0, 0])


def test_those_who_begin_together_share_a_folder(put_at_once):
    put_at_once(*((f"f{number}", b"x") for number in range(9)))
    # The turn of a new folder may come between them.
    assert len({file.storage_key.rpartition("/")[0] for file in IngestFile.objects.all()}) <= 2


def test_each_has_its_own_outcome(put_at_once):
    wires, sizes = put_at_once(
        ("first", b"1"), ("a", b"same"), ("a", b"same"), ("b", b"one"), ("b", b"two"), ("c", b"c"), ("d", b"d")
    )
    assert [wire.status for wire in wires] == [201, 201, 200, 201, 409, 201, 201]
    assert wires[4].code == "path_taken"
    assert orjson.loads(wires[1].body)["id"] == orjson.loads(wires[2].body)["id"]
    assert sizes == [1, 4, 2]
    assert_stored(put_at_once, first=b"1", a=b"same", b=b"one", c=b"c", d=b"d")


def test_each_is_asked_who_sends_it(put_at_once, ann, bob, monkeypatch):
    tokens = {"read": make_token(ann, scopes=["read"]), "bob": make_token(bob), "none": None, "other": make_token(ann)}
    make_wire, put_at_once.early = put_at_once._make_wire, True

    def make_wire_of(path, data):
        put_at_once.token = tokens.get(path, first)
        return make_wire(path, data)

    first = put_at_once.token
    monkeypatch.setattr(put_at_once, "_make_wire", make_wire_of)
    wires, sizes = put_at_once(*((path, b"x") for path in ("first", "read", "a", "bob", "none", "other")))
    assert [wire.status for wire in wires] == [201, 403, 201, 404, 401, 201]
    assert sizes == [1, 2]
    assert_stored(put_at_once, first=b"x", a=b"x", other=b"x")


def test_those_that_are_too_many_for_the_batch_are_refused_one_by_one(put_at_once):
    UploadBatch.objects.update(expected_files=3)
    wires, _ = put_at_once(*((f"f{number}", b"x") for number in range(5)))
    assert [wire.status for wire in wires] == [201, 201, 201, 409, 409]
    assert {wire.code for wire in wires[3:]} == {"batch_completed"}
    assert_stored(put_at_once, f0=b"x", f1=b"x", f2=b"x")
    assert OutboxEvent.objects.filter(event_type="batch.completed").count() == 1


def test_where_the_disk_is_full_all_are_told_and_nothing_is_left(put_at_once, monkeypatch):
    def full(objects):
        raise NoSpace("no space left")

    monkeypatch.setattr(put_at_once.storage, "finish_objects", full)
    wires, _ = put_at_once(*((f"f{number}", b"x") for number in range(3)))
    assert [(wire.status, wire.code) for wire in wires] == [(507, "insufficient_storage")] * 3
    assert_stored(put_at_once)


def test_a_database_that_is_gone_is_waited_for_once_by_those_who_begin_together(monkeypatch):
    errors = [NotFound(), OperationalError("connection timeout expired")]

    def identify(exchange):
        raise errors[exchange]

    monkeypatch.setattr(whole_intake, "identify", identify)
    # The third would be an IndexError, if it were asked for.
    intakes = [whole_intake.Intake(exchange, None, None) for exchange in range(4)]
    assert whole_intake._begin_together([(intake, []) for intake in intakes]) == []
    assert [intake.error for intake in intakes] == [errors[0], *[errors[1]] * 3]


def test_what_fails_after_some_are_on_record_is_told_to_the_others_alone(put_at_once, monkeypatch):
    record = whole_files.record_one

    def fail(group, arrival, keep):
        if arrival.path == "a":
            raise OperationalError("gone")
        record(group, arrival, keep)

    monkeypatch.setattr(whole_files, "record_one", fail)
    wires, sizes = put_at_once(("first", b"1"), ("a", b"same"), ("b", b"one"), ("a", b"same"), ("a", b"same"))
    assert [wire.status for wire in wires] == [201, 201, 201, 503, 503]
    assert sizes == [1, 2, 1]
    assert_stored(put_at_once, first=b"1", a=b"same", b=b"one")


def test_those_without_a_batch_do_not_wait_for_each_other(put_at_once, ann, monkeypatch):
    token, gate, read = make_token(ann), threading.Event(), whole.read_filename

    def read_held(header):
        assert "slow" not in header or gate.wait(20)
        return read(header)

    monkeypatch.setattr(whole, "read_filename", read_held)

    async def scene():
        lines = [f"Content-Disposition: attachment; filename={name}" for name in ("slow", "quick")]
        slow, quick = (Wire("POST", "/files", line, token=token, body=b"x") for line in lines)
        task = asyncio.create_task(slow.run())
        await asyncio.sleep(0.05)
        try:
            await asyncio.wait_for(quick.run(), 10)
        finally:
            gate.set()
            await task
        return slow.status, quick.status

    assert asyncio.run(scene()) == (201, 201)


def test_a_disk_that_is_slow_for_many_batches_holds_up_nobody_who_needs_none(put_at_once, ann, monkeypatch):
    token, gate, store = make_token(ann), threading.Event(), whole_intake.store_together

    def store_held(groups):
        assert gate.wait(20)
        store(groups)

    monkeypatch.setattr(whole_intake, "store_together", store_held)
    # As many as there are threads.
    wires = [Wire("PUT", f"/batches/{make_batch(ann).pk}/files/f", token=token, body=b"x") for _ in range(2)]

    async def scene():
        tasks = [asyncio.create_task(wire.run()) for wire in wires]
        while len(whole_intake.STORE._lines) < 2:
            await asyncio.sleep(0.01)
        try:
            return await asyncio.wait_for(Jobs().run_database(lambda: "answered"), 10)
        finally:
            gate.set()
            await asyncio.gather(*tasks)

    assert asyncio.run(scene()) == "answered"
    assert [wire.status for wire in wires] == [201, 201]


def test_each_begins_under_its_own_request_id(monkeypatch):
    request, seen, intakes = contextvars.ContextVar("request"), [], []
    for number in range(2):
        request.set(number)
        intakes.append(whole_intake.Intake(number, None, None))
    monkeypatch.setattr(whole_intake, "identify", lambda exchange: seen.append((exchange, request.get())))
    whole_intake._begin_together([(intake, []) for intake in intakes])
    assert seen == [(0, 0), (1, 1)]


@pytest.mark.parametrize("waits_for", ["network", "scanner"])
def test_who_waits_for_others_in_storing_goes_alone(put_at_once, monkeypatch, waits_for):
    if waits_for == "network":
        monkeypatch.setattr(put_at_once.storage, "swift", False)
    else:
        monkeypatch.setattr(whole_intake, "is_asked", lambda: True)
    monkeypatch.setattr(whole_intake.STORE, "_work", lambda intakes: 1 // 0)
    wire = Wire("PUT", f"/batches/{put_at_once.batch.pk}/files/f", token=put_at_once.token, body=b"x")
    asyncio.run(wire.run())
    assert wire.status == 201
    assert_stored(put_at_once, f=b"x")


def test_a_small_body_that_is_late_is_looked_at_first_and_stored_all_the_same(put_at_once, monkeypatch):
    begun = threading.Event()
    begin = whole_intake.Intake.begin
    monkeypatch.setattr(whole_intake.Intake, "begin", lambda intake: begin(intake) or begun.set())
    target = f"/batches/{put_at_once.batch.pk}/files/f"
    wire = Wire("PUT", target, "Content-Length: 4", token=put_at_once.token)

    async def scene():
        task = asyncio.create_task(wire.run())
        assert await asyncio.to_thread(begun.wait, 10)
        wire.feed(b"la")
        wire.feed(b"te", more=False)
        await task

    asyncio.run(scene())
    assert wire.status == 201
    assert_stored(put_at_once, f=b"late")


def test_a_small_body_that_comes_while_its_headers_are_looked_at_waits_for_that(put_at_once, monkeypatch):
    looks, gate = [], threading.Event()
    read_headers = whole_intake.Intake.read_headers

    def read_headers_held(intake):
        looks.append(intake)
        assert gate.wait(10)
        read_headers(intake)

    monkeypatch.setattr(whole_intake.Intake, "read_headers", read_headers_held)
    target = f"/batches/{put_at_once.batch.pk}/files/f"
    wire = Wire("PUT", target, "Content-Length: 4", token=put_at_once.token)

    async def scene():
        task = asyncio.create_task(wire.run())
        async with asyncio.timeout(10):
            while not looks:
                await asyncio.sleep(0.001)
        wire.feed(b"late", more=False)
        # Whoever does not wait looks once more, in another thread.
        await asyncio.sleep(0.1)
        gate.set()
        await task

    asyncio.run(scene())
    assert (wire.status, len(looks)) == (201, 1)
    assert_stored(put_at_once, f=b"late")


def test_a_small_body_that_is_late_and_refused_is_waited_for_no_more_but_drained(put_at_once):
    wire = Wire("PUT", f"/batches/{put_at_once.batch.pk}/files/f", "Content-Length: 4", token="ptl_unknown")

    async def scene():
        task = asyncio.create_task(wire.run())
        async with asyncio.timeout(10):
            while not wire.ended:
                await asyncio.sleep(0.01)
        assert not task.done(), "who goes on sending would see a broken pipe instead of the answer"
        wire.feed(b"late", more=False)
        await asyncio.wait_for(task, 1)

    asyncio.run(scene())
    assert (wire.status, wire.header("connection")) == (401, "close")
    assert_stored(put_at_once)


def test_nothing_of_a_small_file_is_held_once_it_is_answered(put_at_once, monkeypatch):
    """With thousands of them a second the garbage collector would have each one's bytes to find."""
    made, init = [], whole_intake.Intake.__init__

    def init_noted(intake, *args):
        init(intake, *args)
        made.append(weakref.ref(intake))

    monkeypatch.setattr(whole_intake.Intake, "__init__", init_noted)
    gc.disable()
    try:
        assert [wire.status for wire in put_at_once(("a", b"a"), ("b", b"b"), ("c", b"c"))[0]] == [201] * 3
        assert len(made) == 3
        # The thread that worked for the last of them may still be about to let go of it.
        wait_until(lambda: not any(intake() for intake in made), seconds=5)
    finally:
        gc.enable()


def test_no_more_bodies_are_taken_before_their_headers_than_there_are_places(put_at_once, monkeypatch):
    monkeypatch.setattr(whole, "EARLY_PLACES", Places(2))
    read_headers, alone = whole_intake.Intake.read_headers, []

    def read_headers_told(intake):
        alone.append(threading.current_thread().name.startswith("both"))
        read_headers(intake)

    monkeypatch.setattr(whole_intake.Intake, "read_headers", read_headers_told)
    wires, _ = put_at_once(*((f"f{number}", b"x") for number in range(5)))
    assert [wire.status for wire in wires] == [201] * 5
    early = 2 if put_at_once.early else 0
    assert (alone.count(True), alone.count(False)) == (early, 5 - early)
    # Each place is given back.
    assert whole.EARLY_PLACES.free == 2
