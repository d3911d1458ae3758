"""Is the port free, where does the server answer, and does it answer yet."""

import errno
import socket
import time
import urllib.error
import urllib.request

READY_SECONDS = 60.0


def port_is_free(host, port):
    """Return False when somebody listens there; raises OSError when `host` is no address of this machine."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # As the server does: connections of an earlier run that linger in TIME_WAIT are no listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def base_url(host, port):
    """Return the address to use from this machine: loopback when the server listens everywhere."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def wait_until_ready(url, *, ended, pause, seconds=READY_SECONDS):
    """Ask `url`/readyz until it says 200 and return None; or return a sentence that says why it never will.

    `ended()` gives the server's exit code or None; `pause(seconds)` waits, and is true when a stop is asked.
    """
    last = "no answer"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        code = ended()
        if code is not None:
            return f"The server ended with code {code} before it was ready; its reason stands above."
        status, last = ask(f"{url}/readyz")
        if status == 200 or pause(0.1):
            return None
    return f"The server was not ready within {seconds:g} seconds: {last}"


def ask(url):
    """Return `(status, text)` of a GET that uses no proxy; the status is None when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status, answer.read(2000).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(2000).decode("utf-8", "replace")
    except OSError as error:
        return None, str(error)
