"""Pages of batches, files, sessions and parts."""

from django.contrib import admin
from django.utils.html import format_html

from portal.admin.base import ReadOnlyAdmin
from portal.models import IngestFile, ManifestBlock, OwnerUsage, PartClaim, UploadBatch, UploadPart, UploadSession
from portal.services.cleanup import remove_bytes
from portal.services.finalize import finalize_session
from portal.services.reconcile import find_drift, fix_batch
from portal.services.sessions import abort_session, received_ranges, still_missing
from portal.storage import get_storage


class BatchStatusFilter(admin.SimpleListFilter):
    """The statuses that a batch may have; Django would read all batches to find those that they have."""

    title = parameter_name = "status"

    def lookups(self, request, model_admin):
        """Return the choices."""
        return UploadBatch.Status.choices

    def queryset(self, request, queryset):
        """Return the batches of the chosen status."""
        return queryset.filter(status=self.value()) if self.value() else queryset


@admin.register(UploadBatch)
class UploadBatchAdmin(ReadOnlyAdmin):
    """Batches, with how far each one is."""

    list_display = ("id", "name", "owner", "status", "progress", "failed_count", "created_at")
    list_filter = (BatchStatusFilter, "created_at")
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
        drift = []

        def act(batch):
            found = list(find_drift(batch_ids=[batch.pk]))
            if found:
                fix_batch(batch.pk)
            drift.extend(found)

        asked = self.carry_out(request, queryset, act, "recounted")
        if not asked:
            self.message_user(request, f"{len(drift)} counters differed" + (" and were set." if drift else "."))
        return asked


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
    more_fields = ("parts_received", "parts_missing")

    @admin.display(description="parts")
    def parts_done(self, session):
        """Show how many parts are on record."""
        return f"{session.completed_parts} / {session.total_parts}"

    def parts_received(self, session):
        """Show the numbers of the parts on record as ranges."""
        return show_ranges(received_ranges(session))

    def parts_missing(self, session):
        """Show the numbers of the parts that have not come as ranges."""
        return show_ranges(still_missing(session))

    @admin.action(description="Abort", permissions=["act"])
    def abort(self, request, queryset):
        """Abort the chosen sessions that are open; their files are FAILED."""

        def act(session):
            abort_session(session)
            remove_bytes(session, storage=get_storage())

        return self.carry_out(request, queryset.select_related("file__owner"), act, "aborted")

    @admin.action(description="Finalize, or take up a finalize that stands still", permissions=["act"])
    def finalize_again(self, request, queryset):
        """Finalize the chosen sessions; one that is claimed by somebody is left to them."""
        rows = queryset.select_related("file__owner")
        return self.carry_out(
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


# Rows that say all that there is to say by their names.
admin.site.register([ManifestBlock, OwnerUsage], ReadOnlyAdmin)


def show_ranges(ranges):
    """Return ranges of numbers as people write them: `1-50, 52`."""
    return ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in ranges)
