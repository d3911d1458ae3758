"""The operators' pages: look at everything, change nothing by hand, act through services."""

from django.contrib import admin

from portal.admin import events, others, uploads

__all__ = ["events", "others", "uploads"]

admin.site.site_header = "Ingest portal"
admin.site.site_title = "Ingest portal"
