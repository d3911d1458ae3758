"""A start without what nobody here uses: it spares a third of the CPU that each command and each restart takes."""

import gc
import sys
from contextlib import contextmanager

from django.conf import LazySettings

#: structlog and REST framework import these where they are there: for a console, a test client, fields of others.
UNUSED = ("rich", "requests", "django.contrib.postgres")


@contextmanager
def lean_start():
    """Import and set up in here: `UNUSED` is as if it were not installed, and nobody looks for garbage.

    What is there at the end stays for as long as the process: the garbage collector does not look at it again.
    """
    hidden = [name for name in UNUSED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        for name in hidden:
            del sys.modules[name]


def read_settings_quickly():
    """Let a setting be read as any attribute is: in Python, as Django has it, that takes eight times as long.

    What `LazyObject` looks for there, operators of the object that it stands for, settings do not have.
    """
    LazySettings.__getattribute__ = object.__getattribute__
