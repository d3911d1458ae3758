"""Become the server: granian in ASGI mode, with the limits that many slow clients ask for.

python -m boot.serve [--host 127.0.0.1] [--port 8000] [--workers 1]
"""

import argparse
import os
import resource
import sys

#: Connections of one process: a client that sends a part, or idles between two, holds one. More of them wait.
CONNECTIONS = 4096
#: A connection costs a descriptor, a part under way two more; the usual soft limit is 1,024 in all.
DESCRIPTORS = 4 * CONNECTIONS
#: A client that has not sent the head of its (next) request by then is let go.
HEAD_MILLISECONDS = 30_000

#: Once a stop is asked for, requests that are under way have so long; then their connections are cut.
STOP_SECONDS = 12


def granian_command(host, port, workers):
    """Return the command line of the one server process type that there is."""
    kind = ["--interface", "asgi", "--http", "1", "--no-ws", "--respawn-failed-workers", "--log-level", "warning"]
    limits = ["--backlog", CONNECTIONS, "--backpressure", CONNECTIONS, "--http1-header-read-timeout", HEAD_MILLISECONDS]
    limits += ["--workers-kill-timeout", STOP_SECONDS]
    where = ["--host", host, "--port", port, "--workers", workers]
    return [sys.executable, "-m", "granian", *map(str, [*kind, *limits, *where]), "boot.asgi:application"]


def raise_descriptor_limit():
    """Take as many descriptors as this user may have, up to what the server can use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main():
    """Read the arguments, take the descriptors, become granian."""
    parser = argparse.ArgumentParser(prog="python -m boot.serve", description="Run the portal's server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", default=os.environ.get("PORT") or "8000", help="port to listen on ($PORT, else 8000)")
    parser.add_argument(
        "--workers",
        default=os.environ.get("GRANIAN_WORKERS") or "1",
        help="processes of the server ($GRANIAN_WORKERS, else 1)",
    )
    options = parser.parse_args()
    raise_descriptor_limit()
    command = granian_command(options.host, options.port, options.workers)
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
