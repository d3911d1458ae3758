#!/usr/bin/env python
"""Run a management command of the portal: `python manage.py COMMAND`."""

import os
import re
import sys
from importlib import import_module

from boot.lean import lean_start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boot.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")

with lean_start():
    # Reads the two variables as it is imported.
    import configurations.management
    import django
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError


def main():
    """Run the command; a setting that cannot be is told in one line, where Django would fail far from its cause."""
    with lean_start():
        try:
            settings.INSTALLED_APPS  # noqa: B018 - reads all settings
        except ImproperlyConfigured as error:
            sys.exit(str(error))
        except AttributeError as error:
            # What django-configurations raises for a class that there is not.
            if not re.search("Couldn't (find|setup) configuration", str(error)):
                raise
            sys.exit(f"DJANGO_CONFIGURATION must be Dev or Production, not {os.environ['DJANGO_CONFIGURATION']!r}.")
        django.setup()
        # The checks of a command load it, and it would load what is unused.
        import_module("rest_framework.compat")
    try:
        configurations.management.execute_from_command_line(sys.argv)
    except (DatabaseError, InterfaceError) as error:
        if "--traceback" in sys.argv or not _is_unusable(error):
            raise
        text = " ".join(str(error).split())
        untold = isinstance(error, ProgrammingError) or text.startswith("no such table")
        sys.exit(f"The database cannot be used: {text}.{' Run manage.py migrate.' if untold else ''}")


def _is_unusable(error):
    """Whether the database, not the command, is what is wrong: away, no database at all, or without our tables."""
    return isinstance(error, (InterfaceError, OperationalError, ProgrammingError)) or type(error) is DatabaseError


if __name__ == "__main__":
    main()
