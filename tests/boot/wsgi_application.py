"""A WSGI application that remembers what it was called with, and whether its answer was closed."""

import asyncio

from boot.wsgi_bridge import WsgiBridge
from tests.transfer.wire import Wire


def anybody(exchange):
    """Let everybody in."""


class Answer:
    """The iterable that a WSGI application returns; knows whether it was closed, and how often."""

    def __init__(self, blocks):
        self.blocks, self.closed, self.given = blocks, 0, 0

    def __iter__(self):
        for block in self.blocks:
            self.given += 1
            yield block

    def close(self):
        self.closed += 1


class Application:
    """A WSGI application that keeps what it is called with and gives the same answer every time."""

    def __init__(self, *blocks, status="200 OK", headers=()):
        self.answer = Answer(blocks)
        self.status, self.headers = status, list(headers)
        self.environs, self.bodies = [], []

    def __call__(self, environ, start_response):
        self.environs.append(environ)
        self.bodies.append(environ["wsgi.input"].read())
        start_response(self.status, self.headers)
        return self.answer


def call(app, method="POST", target="/", *lines, **options):
    """Let a bridge answer one request; return its Wire."""
    return asyncio.run(Wire(method, target, *lines, **options).run(WsgiBridge(app, admit=anybody)))
