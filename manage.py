#!/usr/bin/env python
"""Run a management command of the portal: `python manage.py COMMAND`."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boot.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")

# Reads the two variables as it is imported.
from configurations.management import execute_from_command_line

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
