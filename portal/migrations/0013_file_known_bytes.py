from django.db import migrations, models
from django.db.models import Q

from portal.migrations._large_indexes import AddLargeIndex


class Migration(migrations.Migration):
    #: PostgreSQL makes no index CONCURRENTLY inside a transaction.
    atomic = False

    dependencies = [("portal", "0012_recount_owners")]

    operations = [
        AddLargeIndex(
            model_name="ingestfile",
            index=models.Index(
                condition=Q(status="STORED"), fields=["owner", "sha256", "size_bytes", "id"], name="file_known_bytes"
            ),
        ),
    ]
