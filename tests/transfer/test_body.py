"""A body is counted and timed: 30 s of silence, or less than 1 KiB/s over 60 s of the client's own time, end it."""

import asyncio
import contextlib

import pytest

from portal.exceptions import BodyIncomplete, Invalid, PartBusy, TooSlow
from portal.transfer.body import RATE_BYTES, RATE_SECONDS, SILENCE_SECONDS, Body, read_content_length
from portal.transfer.exchange import Exchange
from tests.transfer.wire import Wire, run_jumping


class Client:
    """Sends pieces, each after a pause in seconds: `(pause, piece)`; then it ends, or never sends again."""

    def __init__(self, pieces, *, ends=True):
        self.pieces, self.ends = iter(pieces), ends

    async def receive(self):
        for pause, piece in self.pieces:
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": piece, "more_body": True}
        if not self.ends:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}


def read_all(pieces, *, length=None, ends=True, work=0.0):
    """Read a whole body, `work` seconds of our own after each piece; return its bytes and how long it took."""

    async def read():
        body, read = Body(Client(pieces, ends=ends).receive, length), []
        now = asyncio.get_running_loop().time
        began = now()
        with body.paced():
            while not body.complete:
                read.append(await body.read())
                await asyncio.sleep(work)
        return b"".join(read), now() - began

    return run_jumping(read())


async def drink(body):
    """Read a body until it raises."""
    with body.paced():
        while True:
            await body.read()


def until_cut(pieces, **options):
    """Read a body that must be cut; return after how many seconds it was."""

    async def read():
        body = Body(Client(pieces, **options).receive, 2**30)
        now = asyncio.get_running_loop().time
        began = now()
        with pytest.raises(TooSlow):
            await drink(body)
        assert body.broken
        return now() - began

    return run_jumping(read())


def test_silence_is_cut_after_30_seconds():
    assert SILENCE_SECONDS <= until_cut([], ends=False) <= SILENCE_SECONDS + 2


def test_silence_in_the_middle_is_cut_after_30_seconds():
    assert SILENCE_SECONDS + 10 <= until_cut([(10, bytes(2**20))], ends=False) <= SILENCE_SECONDS + 12


def test_a_pause_of_less_is_borne():
    pieces = [(SILENCE_SECONDS - 1, bytes(2**20))] * 20
    assert read_all(pieces)[0] == bytes(20 * 2**20)


def test_one_byte_a_second_is_cut_after_60_seconds():
    assert RATE_SECONDS <= until_cut([(1, b"x")] * 1000) <= RATE_SECONDS + 2


def test_a_rate_just_under_the_limit_is_cut():
    assert until_cut([(1, bytes(RATE_BYTES - 1))] * 1000) <= RATE_SECONDS + 2


def test_a_rate_just_over_the_limit_is_borne():
    body, seconds = read_all([(1, bytes(RATE_BYTES + 20))] * 600)
    assert (len(body), round(seconds)) == (600 * (RATE_BYTES + 20), 600)


def test_a_fast_start_buys_no_slow_end():
    """What came long ago does not count: the window moves on."""
    seconds = until_cut([(0, bytes(2**25)), *[(1, b"x")] * 1000])
    assert RATE_SECONDS <= seconds <= RATE_SECONDS + 3


def test_a_large_piece_now_and_then_keeps_the_rate():
    read_all([(29, bytes(RATE_BYTES * 31))] * 30)


def test_our_own_time_is_not_the_clients():
    """A disk that takes 100 s a piece is no reason to blame who sends."""
    body, _ = read_all([(1, bytes(RATE_BYTES * 2))] * 20, work=100)
    assert len(body) == 40 * RATE_BYTES


def test_a_body_within_its_length_is_complete_without_an_end():
    assert read_all([(0, b"abc"), (0, b"de")], length=5, ends=False)[0] == b"abcde"


def test_empty_pieces_are_passed_over():
    assert read_all([(0, b""), (0, b"abc"), (0, b""), (0, b"")])[0] == b"abc"


@pytest.mark.parametrize("pieces", [[], [(0, b"abc")], [(0, b"a")] * 4])
def test_a_body_that_ends_early_is_incomplete(pieces):
    with pytest.raises(BodyIncomplete):
        read_all(pieces, length=5)


def test_a_body_that_overruns_is_refused():
    with pytest.raises(BodyIncomplete):
        read_all([(0, b"abc"), (0, b"def")], length=5)


def test_a_client_that_goes_away_makes_the_body_broken():
    async def read():
        wire = Wire("PUT", "/")
        wire.feed(b"abc")
        wire.leave()
        body = Body(wire.receive, 5)
        with pytest.raises(BodyIncomplete):
            await drink(body)
        return body.broken

    assert run_jumping(read())


def cut_while(state):
    """Cut a body after ten seconds, in which we are waiting for the client or working; return what came of it."""

    async def read():
        body = Body(Client([(0, b"abc")], ends=False).receive, 5)
        asyncio.get_running_loop().call_later(10, lambda: body.cut(PartBusy("cut")))
        with body.paced():
            await body.read()
            await (body.read() if state == "waiting" else asyncio.sleep(20))
        return "went on"

    return run_jumping(read())


def test_another_may_cut_a_body_that_waits_for_its_client():
    with pytest.raises(PartBusy, match="cut"):
        cut_while("waiting")


def test_nobody_cuts_a_body_whose_bytes_are_being_worked_on():
    assert cut_while("working") == "went on"


def test_a_body_is_cut_that_is_read_beside_something_else():
    async def read_beside(body):
        reading = asyncio.ensure_future(body.read())
        try:
            await asyncio.wait([reading], timeout=20)
        finally:
            reading.cancel()

    async def read():
        body = Body(Client([], ends=False).receive, 5)
        asyncio.get_running_loop().call_later(10, lambda: body.cut(PartBusy("cut"), broken=False))
        with pytest.raises(PartBusy), body.paced():
            await read_beside(body)
        return asyncio.current_task().cancelling(), body.broken

    assert run_jumping(read()) == (0, False)


def test_who_is_cancelled_from_outside_is_so_although_the_body_was_cut_as_well():
    async def read():
        reader = asyncio.current_task()
        body = Body(Client([], ends=False).receive, 5)
        asyncio.get_running_loop().call_later(10, lambda: (body.cut(PartBusy("cut")), reader.cancel()))
        try:
            with body.paced():
                await body.read()
        except asyncio.CancelledError:
            return reader.cancelling()

    assert run_jumping(read()) == 1


def test_one_that_went_on_after_a_cancellation_is_told_why_it_was_cut():
    async def read():
        asyncio.current_task().cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        body = Body(Client([], ends=False).receive, 5)
        asyncio.get_running_loop().call_later(10, lambda: body.cut(PartBusy("cut")))
        with pytest.raises(PartBusy), body.paced():
            await body.read()
        return asyncio.current_task().cancelling()

    assert run_jumping(read()) == 1


def test_one_that_was_cut_is_cancelled_no_more():
    async def read():
        body = Body(Client([], ends=False).receive, 5)
        asyncio.get_running_loop().call_later(10, lambda: body.cut(PartBusy("cut")))
        with pytest.raises(PartBusy), body.paced():
            await body.read()
        return asyncio.current_task().cancelling()

    assert run_jumping(read()) == 0


def test_what_is_late_is_told_once_and_the_pace_is_kept_after_it():
    late = []

    async def read():
        body = Body(Client([], ends=False).receive, 5)
        with body.paced(0.02, lambda: late.append(asyncio.get_running_loop().time())):
            await body.read()

    with pytest.raises(TooSlow):
        run_jumping(read())
    assert late == [0.02]


def test_a_timeout_of_somebody_else_passes_through():
    async def read():
        with Body(Client([]).receive, 5).paced():
            raise TimeoutError

    with pytest.raises(TimeoutError):
        run_jumping(read())


def length_of(*lines):
    """Return what `read_content_length` makes of these headers."""
    wire = Wire("PUT", "/", *lines)
    return read_content_length(Exchange(wire.scope, wire.receive, wire.send))


def test_a_length_is_read():
    assert length_of("Content-Length: 0") == 0
    assert length_of("Content-Length: 12", "Content-Length: 12") == 12
    assert length_of(f"Content-Length: {2**63 - 1}") == 2**63 - 1


@pytest.mark.parametrize("lines", [[], ["Transfer-Encoding: chunked"], ["Content-Length: 5", "Transfer-Encoding: x"]])
def test_an_unframed_or_chunked_body_has_no_length(lines):
    assert length_of(*lines) is None


@pytest.mark.parametrize("value", ["-1", "+1", "1.0", "", "a", "1,1", "0x1", "٣", "1" * 20])
def test_a_bad_length_is_refused(value):
    with pytest.raises(Invalid):
        length_of(f"Content-Length: {value}".encode().decode("latin-1"))


def test_two_lengths_are_refused():
    with pytest.raises(Invalid):
        length_of("Content-Length: 1", "Content-Length: 2")
