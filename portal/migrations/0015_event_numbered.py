from django.db import migrations, models
from django.db.models import Q

from portal.migrations._large_indexes import AddLargeIndex

#: Name → columns.
LISTS = {
    "event_owner_type_numbered": ["owner", "event_type", "seq"],
    "event_batch_numbered": ["batch_id", "seq"],
}


class Migration(migrations.Migration):
    #: PostgreSQL makes no index CONCURRENTLY inside a transaction.
    atomic = False

    dependencies = [("portal", "0014_idempotency_text")]

    operations = [
        AddLargeIndex(
            model_name="outboxevent", index=models.Index(condition=Q(seq__isnull=False), fields=fields, name=name)
        )
        for name, fields in LISTS.items()
    ]
