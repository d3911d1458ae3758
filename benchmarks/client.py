"""The one client of all measurements: plain sockets, kept open, each in a thread of its own."""

import queue
import threading

from tests.raw import RawClient

SECONDS = 120
#: A body up to this size goes out with its head: two small writes wait for each other's acknowledgement.
SMALL_BYTES = 64 * 2**10


class Refused(Exception):
    """A server answered with another status than the measurement needs."""


def ask(client, method, target, *lines, body=b"", expected=(200, 201, 204)):
    """Send one request over an open connection and return its answer; raises Refused."""
    head = client.head(method, target, f"Content-Length: {len(body)}", *lines)
    for data in (head + body,) if len(body) <= SMALL_BYTES else (head, body):
        client.send(data)
    answer = client.answer(method)
    if answer.status not in expected:
        raise Refused(f"{method} {target}: {answer.status} {answer.body[:300]!r}")
    return answer


def run_all(url, jobs, *, connections, token=None):
    """Call each of `jobs` with an open connection, `connections` of them at a time; the first error is raised."""
    waiting, errors = queue.SimpleQueue(), []
    for job in jobs:
        waiting.put(job)

    def work():
        try:
            with RawClient(url, token=token, seconds=SECONDS) as client:
                while not errors:
                    waiting.get_nowait()(client)
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that measures
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
