"""Run a command of manage.py in this process, as an operator would."""

import io

from django.core.management import call_command


def run(name, *arguments, **options):
    """Return what the command wrote to stdout; raises what it raises, CommandError for all that it refuses."""
    out = io.StringIO()
    call_command(name, *arguments, **{"stdout": out, "stderr": io.StringIO(), **options})
    return out.getvalue()
