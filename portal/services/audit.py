"""The audit trail: what operators ask for in the admin is written down before it is done."""

from django.contrib.admin.models import CHANGE, LogEntry

from portal.services.transactions import write_transaction


def record_action(user, row, text):
    """Write down that the operator `user` has asked for `text` on `row`; told by `GET /admin/admin/logentry/`."""
    with write_transaction():
        LogEntry.objects.log_actions(user.pk, [row], CHANGE, text, single_object=True)
