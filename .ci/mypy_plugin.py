"""Let mypy's Django plugin read settings that are a django-configurations class."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boot.settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")

from configurations import importer

importer.install(check_options=False)

from mypy_django_plugin import main  # noqa: E402


def plugin(version):
    """Return django-stubs' own plugin for this version of mypy."""
    return main.plugin(version)
