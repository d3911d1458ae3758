#!/usr/bin/env python
"""Run a management command of the portal: `python manage.py COMMAND`."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boot.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")

# Reads the two variables as it is imported.
from configurations.management import execute_from_command_line
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def main():
    """Run the command; a setting that cannot be is told in one line, where Django would fail far from its cause."""
    try:
        settings.INSTALLED_APPS  # noqa: B018 - reads all settings
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
