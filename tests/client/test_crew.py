"""Jobs are done by a bounded number of threads, new ones first, and one that fails ends them all."""

import signal
import threading
import time
from functools import partial

import pytest

from portal_client import Stopped
from portal_client.crew import Crew


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture
def _heard():
    """Ctrl-C raises here, also where the shell that started the tests in the background had it ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def test_all_jobs_are_done_by_no_more_hands_than_there_are(stop):
    crew, done, at_once, most, lock = Crew(3, stop), [], [0], [0], threading.Lock()
    together = threading.Barrier(3, timeout=10)

    def job(number):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        if number < 3:
            together.wait()
        with lock:
            done.append(number)
            at_once[0] -= 1

    crew.run(partial(job, number) for number in range(30))
    assert sorted(done) == list(range(30))
    assert most[0] == 3


@pytest.mark.usefixtures("_heard")
def test_ctrl_c_does_not_wait_for_a_next_job_that_does_not_come(stop, monkeypatch):
    monkeypatch.setattr("portal_client.crew.GRACE_SECONDS", 0.1)
    asked, comes = threading.Event(), threading.Event()

    def jobs():
        asked.set()
        comes.wait(30)
        yield print

    def interrupt():
        asked.wait(10)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Crew(2, stop).run(jobs())
    took = time.monotonic() - began
    comes.set()
    assert stop.is_set()
    assert took < 20


@pytest.mark.usefixtures("_heard")
def test_ctrl_c_waits_for_jobs_that_end_soon(stop):
    ended = []

    def job():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        stop.wait(30)
        time.sleep(0.2)
        ended.append(stop.is_set())

    with pytest.raises(KeyboardInterrupt):
        Crew(1, stop).run([job])
    assert ended == [True]


def test_what_a_job_puts_in_front_is_done_before_what_waits(stop):
    crew, done = Crew(1, stop), []

    def first():
        crew.put_first([partial(done.append, 1), partial(done.append, 2)])

    crew.run([first, partial(done.append, 3)])
    assert done == [1, 2, 3]


def test_hands_without_work_wait_for_those_that_may_bring_some(stop):
    crew, done = Crew(2, stop), []
    together = threading.Barrier(2, timeout=10)

    def first():
        # The other one finds nothing to do, and must still be there when these two need each other.
        crew.put_first([together.wait, together.wait, partial(done.append, 1)])

    crew.run([first])
    assert done == [1]


def test_the_first_error_ends_all_and_is_raised(stop):
    crew, done = Crew(1, stop), []

    def fails():
        raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        crew.run([partial(done.append, 1), fails, partial(done.append, 2)])
    assert done == [1]


def test_no_job_is_begun_once_it_is_called_off(stop):
    crew, done = Crew(2, stop), []

    crew.put_first([partial(done.append, 0)])
    with pytest.raises(Stopped):
        crew.run([stop.set, *[partial(done.append, number) for number in range(1, 100)]])
    assert len(done) <= 2  # one that the other hand was at
    done.clear()
    with pytest.raises(Stopped):
        crew.run([partial(done.append, 1)])
    assert done == []


def test_what_fails_when_the_next_job_is_asked_for_is_raised(stop):
    done = []

    def jobs():
        yield partial(done.append, 1)
        raise ValueError("no more to be had")

    for hands in (1, 3):
        with pytest.raises(ValueError, match="no more to be had"):
            Crew(hands, stop).run(jobs())
        assert done == [1]
        done.clear()
