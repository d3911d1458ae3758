"""What all pages of operators share: they show everything, change nothing by hand, and act through services."""

from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import UUIDField
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import cached_property

from portal.exceptions import PortalError
from portal.services.audit import record_action

#: A list counts no further: among millions a row is found by search or filter, not on page 9,999.
COUNT_LIMIT = 10_000
#: Rows that one action is carried out on.
ACT_LIMIT = 1_000


class BoundedPaginator(Paginator):
    """Counts up to COUNT_LIMIT rows, so that a page of a table of millions costs what one of thousands does."""

    @cached_property
    def count(self):
        """Return how many rows there are, at most COUNT_LIMIT."""
        return self.object_list.order_by()[:COUNT_LIMIT].count()


class BoundedList(ChangeList):
    """Reads one page of rows, in the order of their keys: any other would sort the whole table."""

    def get_results(self, request):
        """Read the page; also one that holds all there is when it was counted."""
        super().get_results(request)
        if not self.result_list.query.is_sliced:
            self.result_list = self.result_list[: self.list_max_show_all]

    def get_ordering(self, request, queryset):
        """Return the order by id that an address asks for, else the usual one."""
        asked = super().get_ordering(request, queryset)
        return asked if asked[0] in ("id", "-id", "pk", "-pk") else list(self.model_admin.ordering)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Everything that a service owns: shown, searched, filtered, and never written by a form."""

    actions_on_bottom = True
    list_per_page = 50
    list_max_show_all = 200
    #: Counting a table of millions of rows for a headline is not worth it.
    show_full_result_count = False
    #: Numbers beside the filters would count it as well.
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ("-pk",)
    sortable_by = ("id",)
    #: The columns that a whole id is looked for in.
    search_ids: tuple[str, ...] = ("pk",)
    #: What a row's own page shows besides its columns: names of methods.
    more_fields: tuple[str, ...] = ()

    def changelist_view(self, request, extra_context=None):
        """Show the list; an address made by hand, whose values no column can hold, leads back to the whole list."""
        try:
            return super().changelist_view(request, extra_context)
        except (ValueError, OverflowError, DataError, ValidationError):
            self.message_user(request, "That address asks for what no row can have.", messages.WARNING)
            return redirect(request.path)

    def get_object(self, request, object_id, from_field=None):
        """Return the row of an address, None when there is none or none can be."""
        try:
            return super().get_object(request, object_id, from_field)
        except (OverflowError, DataError):
            return None

    def get_changelist(self, request, **kwargs):
        """Return the kind of list that is read a page at a time."""
        return BoundedList

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """Show a row, with a button for each action that may be carried out on it."""
        offered = [(name, text) for _, name, text in self.get_actions(request).values()]
        return super().change_view(request, object_id, form_url, {"offered": offered, **(extra_context or {})})

    def get_search_results(self, request, queryset, search_term):
        """Look for a whole id by its value; Django would compare texts, without an index and, on SQLite, in vain."""
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        if "pk" in self.search_ids and not isinstance(self.opts.pk, UUIDField):
            return queryset.none(), False
        # One column after the other: SQLite goes through the whole table for "this or that" in the order of a key.
        by_column = (self.find_by_id(queryset, name, wanted) for name in self.search_ids)
        return next((rows for rows in by_column if rows.exists()), queryset.none()), False

    def find_by_id(self, rows, name, wanted):
        """Return those of `rows` whose column `name` holds the id `wanted`."""
        return rows.filter(**{name: wanted})

    def get_readonly_fields(self, request, obj=None):
        """Show every column, also those that no form would have, but for those in `exclude`."""
        columns = [field.name for field in self.opts.concrete_fields if field.name not in (self.exclude or ())]
        return [*columns, *self.more_fields]

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

    def carry_out(self, request, rows, act, done):
        """Ask for confirmation; once it is given, call `act(row)` for each row and tell what came of it.

        Each is written down before it is done, with who asked for it, and what was refused is written down as well.
        """
        rows = list(rows[: ACT_LIMIT + 1])
        if len(rows) > ACT_LIMIT:
            return self.message_user(request, f"At most {ACT_LIMIT} at once.", messages.ERROR)
        _, name, text = self.get_actions(request)[request.POST["action"]]
        if "confirmed" not in request.POST:
            return self._ask(request, rows, name, text)
        count = 0
        for row in rows:
            record_action(request.user, row, text)
            try:
                act(row)
                count += 1
            except PortalError as error:
                record_action(request.user, row, f"{text}: refused: {error.detail}")
                self.message_user(request, f"{row}: {error.detail}", messages.WARNING)
        if count:
            self.message_user(request, f"{count} {done}.")
        return None

    def _ask(self, request, rows, name, text):
        context = {
            **self.admin_site.each_context(request),
            "title": f"{text}?",
            "opts": self.opts,
            "rows": rows,
            "action": name,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/portal/confirm_action.html", context)
