"""What operators ask for is written down, with who, when and on what."""

from django.contrib.admin.models import LogEntry

from portal.services.audit import record_action
from tests.samples import make_batch


def test_an_action_is_written_down_with_who_and_on_what(ann, bob):
    batch = make_batch(ann, name="x" * 255)
    record_action(bob.user, batch, "Recount from the files")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.content_type.model) == (bob.user, str(batch.pk), "uploadbatch")
    assert entry.get_change_message() == "Recount from the files"
    assert entry.action_time is not None
