"""Pages of events, their deliveries and the endpoints."""

import json

from django.contrib import admin, messages
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from portal.admin.base import ReadOnlyAdmin
from portal.models import Delivery, Endpoint, EventCounter, OutboxEvent
from portal.runner.webhook import WebhookRunner
from portal.services.deliveries import list_deliveries
from portal.services.endpoint_tests import send_test
from portal.services.endpoints import disable_endpoint, enable_endpoint
from portal.services.replays import replay_delivery, replay_event


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """Events, with what the runner is told."""

    list_display = ("id", "seq", "event_type", "owner", "batch_id", "file_id", "created_at")
    list_filter = ("event_type", "created_at")
    list_select_related = ("owner",)
    search_ids = ("id", "batch_id", "file_id")
    search_fields = ("owner__username",)
    search_help_text = "A whole event, batch or file id, or part of an owner."
    actions = ("replay",)
    exclude = ("payload",)
    more_fields = ("told", "deliveries")

    def find_by_id(self, rows, name, wanted):
        """Go along two indexes for those of a batch: of the events that have a number, and of those that have none."""
        if name != "batch_id":
            return super().find_by_id(rows, name, wanted)
        numbered, others = (OutboxEvent.objects.filter(batch_id=wanted, seq__isnull=none) for none in (False, True))
        return rows.filter(pk__in=numbered.values("pk").union(others.values("pk"), all=True))

    @admin.display(description="payload")
    def told(self, event):
        """Show the payload as it is sent, a member a line."""
        return show_json(event.payload)

    def deliveries(self, event):
        """Show what became of it at each endpoint, with each attempt that is on record."""
        rows = list_deliveries(event)
        cells = [(row["endpoint_id"], row["status"], row["attempts"], show_attempts(row["history"])) for row in rows]
        return format_html_join(mark_safe("<hr>"), "endpoint {}: {}, {} attempts{}", cells) or "none"

    @admin.action(description="Send again, to every endpoint", permissions=["act"])
    def replay(self, request, queryset):
        """Send the chosen events again, under their ids."""
        return self.carry_out(request, queryset, replay_event, "will be sent again")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """What became of an event at an endpoint, with the last attempts."""

    list_display = ("id", "event", "endpoint", "status", "attempts", "due_at")
    list_filter = ("status", "created_at")
    list_select_related = ("event", "endpoint")
    search_ids = ("id", "event", "endpoint")
    search_help_text = "A whole id, event id or endpoint id."
    exclude = ("claim_token", "history")
    more_fields = ("each_attempt",)
    actions = ("replay",)

    def each_attempt(self, delivery):
        """Show each attempt that is on record."""
        return show_attempts(delivery.history) or "none"

    @admin.action(description="Send again", permissions=["act"])
    def replay(self, request, queryset):
        """Send the chosen deliveries again, to their endpoint alone."""
        return self.carry_out(request, queryset, replay_delivery, "will be sent again")


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    """Who is sent events; one that has answered 410 is DISABLED until it is enabled here."""

    list_display = ("id", "url", "owner", "status", "status_at", "last_seq")
    list_filter = ("status",)
    list_select_related = ("owner",)
    search_fields = ("url", "owner__username")
    search_help_text = "A whole id, or part of a URL or an owner."
    actions = ("enable", "disable", "send_test")

    @admin.action(description="Enable: send what has waited, too", permissions=["act"])
    def enable(self, request, queryset):
        """Send to the chosen endpoints again."""
        return self.carry_out(request, queryset, enable_endpoint, "enabled")

    @admin.action(description="Disable: events wait", permissions=["act"])
    def disable(self, request, queryset):
        """Send nothing to the chosen endpoints."""
        return self.carry_out(request, queryset, disable_endpoint, "disabled")

    @admin.action(description="Send a test event", permissions=["act"])
    def send_test(self, request, queryset):
        """Send one signed message that tells of nothing, now, and tell what the endpoint answered."""

        def act(endpoint):
            outcome = send_test(endpoint, runner=WebhookRunner())
            level = messages.SUCCESS if outcome.delivered else messages.WARNING
            said = outcome.status_code or outcome.error
            self.message_user(request, f"{endpoint}: {said}, {outcome.milliseconds} ms.", level)

        return self.carry_out(request, queryset, act, "tested")


admin.site.register(EventCounter, ReadOnlyAdmin)


def show_json(value):
    """Return a JSON value as text, a member a line."""
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


def show_attempts(history):
    """Return the attempts of a delivery as a list, the oldest first; empty without any."""
    cells = [(made["at"], made["status_code"] or made["error"], made["milliseconds"]) for made in history]
    lines = format_html_join("", "<li>{}: {}, {} ms</li>", cells)
    return format_html("<ol>{}</ol>", lines) if cells else ""
