"""The Django app of the portal."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Registers the system checks when Django starts."""

    name = "portal"
    verbose_name = "Ingest portal"

    def ready(self):
        # Importing the module registers its checks; it needs the apps to be loaded first.
        from portal import checks  # noqa: F401, PLC0415
