"""The operators' pages: look at everything, change nothing by hand, act through services."""

from uuid import UUID

from django.contrib import admin, messages
from django.db import DataError
from django.db.models import Q, UUIDField
from django.shortcuts import redirect
from django.utils.html import format_html

from portal.exceptions import PortalError
from portal.models import (
    ApiToken,
    Delivery,
    Endpoint,
    EventCounter,
    IdempotencyKey,
    IngestFile,
    ManifestBlock,
    OutboxEvent,
    OwnerUsage,
    PartClaim,
    Recount,
    UploadBatch,
    UploadPart,
    UploadSession,
    WorkerBeat,
)
from portal.services.cleanup import remove_bytes
from portal.services.endpoints import disable_endpoint, enable_endpoint
from portal.services.finalize import finalize_session
from portal.services.reconcile import find_drift, fix_batch
from portal.services.replays import replay_delivery, replay_event
from portal.services.sessions import abort_session
from portal.services.tokens import revoke_tokens
from portal.storage import get_storage

admin.site.site_header = "Ingest portal"
admin.site.site_title = "Ingest portal"


class ReadOnlyAdmin(admin.ModelAdmin):
    """Everything that a service owns: shown, searched, filtered, and never written by a form."""

    actions_on_bottom = True
    list_per_page = 50
    #: Counting a table of millions of rows for a headline is not worth it.
    show_full_result_count = False
    ordering = ("-pk",)
    #: The columns that a whole id is looked for in.
    search_ids: tuple[str, ...] = ("pk",)

    def changelist_view(self, request, extra_context=None):
        """Show the list; an address made by hand, whose values no column can hold, leads back to the whole list."""
        try:
            return super().changelist_view(request, extra_context)
        except (ValueError, OverflowError, DataError):
            self.message_user(request, "That address asks for what no row can have.", messages.WARNING)
            return redirect(request.path)

    def get_search_results(self, request, queryset, search_term):
        """Look for a whole id by its value; Django would compare texts, without an index and, on SQLite, in vain."""
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        if not isinstance(self.opts.pk, UUIDField):
            return queryset.none(), False
        named = Q.create([(name, wanted) for name in self.search_ids], connector=Q.OR)
        return queryset.filter(named), False

    def get_readonly_fields(self, request, obj=None):
        """Show every column, also those that no form would have, but for those in `exclude`."""
        return [field.name for field in self.opts.concrete_fields if field.name not in (self.exclude or ())]

    def has_add_permission(self, request, obj=None):
        """Nobody adds by hand."""
        return False

    def has_change_permission(self, request, obj=None):
        """Nobody changes by hand; the view permission is enough to look."""
        return False

    def has_delete_permission(self, request, obj=None):
        """Nobody deletes by hand: bytes and counters would be left behind."""
        return False

    def has_act_permission(self, request):
        """Acting through services takes what changing by hand would take: Django's change permission."""
        return super().has_change_permission(request)

    def _carry_out(self, request, rows, act, done):
        """Call `act(row)` for each row and tell what came of it."""
        count = 0
        for row in rows:
            try:
                act(row)
                count += 1
            except PortalError as error:
                self.message_user(request, f"{row}: {error.detail}", messages.WARNING)
        if count:
            self.message_user(request, f"{count} {done}.")


@admin.register(UploadBatch)
class UploadBatchAdmin(ReadOnlyAdmin):
    """Batches, with how far each one is."""

    list_display = ("id", "name", "owner", "status", "progress", "failed_count", "created_at")
    list_filter = ("status", "created_at")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    search_help_text = "A whole id, or part of a name or an owner."
    actions = ("recount",)

    @admin.display(description="stored")
    def progress(self, batch):
        """Show the share of stored files; the browser draws the bar, so that no inline style is needed."""
        total = max(batch.total_files, batch.expected_files or 0)
        return format_html(
            '<progress max="{}" value="{}"></progress> {} / {}',
            max(total, 1),
            batch.stored_count,
            batch.stored_count,
            total,
        )

    @admin.action(description="Recount from the files", permissions=["act"])
    def recount(self, request, queryset):
        """Recount the chosen batches and set the counters that differ."""
        drift = list(find_drift(batch_ids=list(queryset.values_list("pk", flat=True))))
        for batch_id in {found.batch_id for found in drift}:
            fix_batch(batch_id)
        self.message_user(request, f"{len(drift)} counters differed" + (" and were set." if drift else "."))


@admin.register(IngestFile)
class IngestFileAdmin(ReadOnlyAdmin):
    """Files, with where their bytes are."""

    list_display = ("id", "original_filename", "path", "batch", "owner", "status", "size_bytes", "created_at")
    list_filter = ("status", "created_at")
    list_select_related = ("batch", "owner")
    search_ids = ("id", "batch")
    search_fields = ("sha256__exact", "original_filename", "path", "owner__username")
    search_help_text = "A whole id, batch id or SHA-256, or part of a name, a path or an owner."


@admin.register(UploadSession)
class UploadSessionAdmin(ReadOnlyAdmin):
    """Sessions, with what has arrived and who works on them."""

    list_display = ("id", "file", "owner", "status", "parts_done", "received_bytes", "expires_at", "attempts")
    list_filter = ("status", "created_at")
    list_select_related = ("file", "owner")
    search_ids = ("id", "file")
    search_fields = ("owner__username",)
    search_help_text = "A whole id or file id, or part of an owner."
    exclude = ("claim_token",)
    actions = ("abort", "finalize_again")

    @admin.display(description="parts")
    def parts_done(self, session):
        """Show how many parts are on record."""
        return f"{session.completed_parts} / {session.total_parts}"

    @admin.action(description="Abort", permissions=["act"])
    def abort(self, request, queryset):
        """Abort the chosen sessions that are open; their files are FAILED."""

        def act(session):
            abort_session(session)
            remove_bytes(session, storage=get_storage())

        self._carry_out(request, queryset.select_related("file__owner"), act, "aborted")

    @admin.action(description="Finalize, or take up a finalize that stands still", permissions=["act"])
    def finalize_again(self, request, queryset):
        """Finalize the chosen sessions; one that is claimed by somebody is left to them."""
        rows = queryset.select_related("file__owner")
        self._carry_out(
            request, rows, lambda row: finalize_session(row, storage=get_storage()), "finalized or under way"
        )


@admin.register(UploadPart)
class UploadPartAdmin(ReadOnlyAdmin):
    """Parts that are on record."""

    list_display = ("id", "session", "number", "size_bytes", "blake3", "created_at")
    list_select_related = ("session",)
    search_ids = ("id", "session")
    search_fields = ("blake3__exact",)
    search_help_text = "A whole id, session id or digest."


@admin.register(PartClaim)
class PartClaimAdmin(ReadOnlyAdmin):
    """Parts that are being written, where the storage has no locks."""

    list_display = ("id", "session", "number", "lease_until")
    exclude = ("token",)
    list_select_related = ("session",)
    search_ids = ("id", "session")
    search_help_text = "A whole id or session id."


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

    @admin.action(description="Send again, to every endpoint", permissions=["act"])
    def replay(self, request, queryset):
        """Send the chosen events again, under their ids."""
        self._carry_out(request, queryset, replay_event, "will be sent again")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """What became of an event at an endpoint, with the last attempts."""

    list_display = ("id", "event", "endpoint", "status", "attempts", "due_at")
    list_filter = ("status", "created_at")
    list_select_related = ("event", "endpoint")
    search_ids = ("id", "event", "endpoint")
    search_help_text = "A whole id, event id or endpoint id."
    exclude = ("claim_token",)
    actions = ("replay",)

    @admin.action(description="Send again", permissions=["act"])
    def replay(self, request, queryset):
        """Send the chosen deliveries again, to their endpoint alone."""
        self._carry_out(request, queryset, replay_delivery, "will be sent again")


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    """Who is sent events; one that has answered 410 is DISABLED until it is enabled here."""

    list_display = ("id", "url", "owner", "status", "status_at", "last_seq")
    list_filter = ("status",)
    list_select_related = ("owner",)
    search_fields = ("url", "owner__username")
    search_help_text = "A whole id, or part of a URL or an owner."
    actions = ("enable", "disable")

    @admin.action(description="Enable: send what has waited, too", permissions=["act"])
    def enable(self, request, queryset):
        """Send to the chosen endpoints again."""
        self._carry_out(request, queryset, enable_endpoint, "enabled")

    @admin.action(description="Disable: events wait", permissions=["act"])
    def disable(self, request, queryset):
        """Send nothing to the chosen endpoints."""
        self._carry_out(request, queryset, disable_endpoint, "disabled")


# Rows that say all that there is to say by their names.
admin.site.register([EventCounter, ManifestBlock, OwnerUsage, Recount, WorkerBeat], ReadOnlyAdmin)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens; made by `manage.py create_token`, which shows them once."""

    list_display = ("prefix", "name", "user", "scopes", "state", "created_at", "expires_at")
    list_filter = ("revoked_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("prefix", "name", "user__username")
    search_help_text = "A whole id, or part of a prefix, a name or a user."
    exclude = ("digest",)
    actions = ("revoke",)

    @admin.action(description="Revoke", permissions=["act"])
    def revoke(self, request, queryset):
        """Revoke the chosen tokens at once."""
        self.message_user(request, f"{revoke_tokens(queryset)} revoked.")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Idempotency keys, with the answers that are given again."""

    list_display = ("id", "owner", "key", "status", "created_at", "lease_until")
    list_filter = ("status", "created_at")
    list_select_related = ("owner",)
    search_fields = ("key", "owner__username")
    search_help_text = "A whole id, or part of a key or an owner."
    exclude = ("claim_token",)
