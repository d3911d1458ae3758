"""Pages of tokens, idempotency keys, workers, and of what operators have done."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry

from portal.admin.base import ReadOnlyAdmin
from portal.models import ApiToken, IdempotencyKey, Recount, WorkerBeat
from portal.services.tokens import revoke_token

# Rows that say all that there is to say by their names.
admin.site.register([Recount, WorkerBeat], ReadOnlyAdmin)


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
        return self.carry_out(request, queryset.filter(revoked_at__isnull=True), revoke_token, "revoked")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Idempotency keys, with the answers that are given again."""

    list_display = ("id", "owner", "key", "status", "created_at", "lease_until")
    list_filter = ("status", "created_at")
    list_select_related = ("owner",)
    search_fields = ("key", "owner__username")
    search_help_text = "A whole id, or part of a key or an owner."
    exclude = ("claim_token",)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who did what, to which row, when; kept for as long as the rows of users are."""

    list_display = ("id", "action_time", "user", "content_type", "object_id", "change_message")
    list_filter = ("action_flag", "action_time")
    list_select_related = ("user", "content_type")
    search_ids = ("object_id",)
    search_fields = ("object_id__exact", "user__username")
    search_help_text = "A whole id of what was acted on, or part of an operator."
