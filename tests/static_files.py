"""The static files of the admin and the docs, looked for once by each process of the tests."""

import contextlib

import pytest
from whitenoise.middleware import WhiteNoiseMiddleware


@contextlib.contextmanager
def listed_once():
    """Let the middleware of a test's client have the list that the first one made: each would make its own anew."""
    look, found = WhiteNoiseMiddleware.add_files_from_finders, {}

    def add_files(middleware):
        if not found:
            look(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_files)
        yield
