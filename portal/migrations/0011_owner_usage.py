import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Count, Sum


def count_rows(apps, schema_editor):
    """Count what each owner takes up already; two passes over the rows."""
    usage = {}
    files = apps.get_model("portal", "IngestFile").objects.filter(status="STORED")
    for owner, count, size in files.order_by().values_list("owner").annotate(Count("pk"), Sum("size_bytes")):
        usage[owner] = {"stored_files": count, "stored_bytes": size}
    sessions = apps.get_model("portal", "UploadSession").objects.filter(
        status__in=["INIT", "IN_PROGRESS", "FINALIZING"]
    )
    for owner, count, size in sessions.order_by().values_list("owner").annotate(Count("pk"), Sum("total_size_bytes")):
        usage.setdefault(owner, {}).update(open_sessions=count, open_bytes=size)
    model = apps.get_model("portal", "OwnerUsage")
    rows = (model(owner_id=owner, **counts) for owner, counts in usage.items())
    model.objects.bulk_create(rows, batch_size=500)


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("portal", "0010_file_expected"),
    ]

    operations = [
        migrations.CreateModel(
            name="OwnerUsage",
            fields=[
                (
                    "owner",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("stored_files", models.BigIntegerField(default=0)),
                ("stored_bytes", models.BigIntegerField(default=0)),
                ("open_sessions", models.BigIntegerField(default=0)),
                ("open_bytes", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RunPython(count_rows, migrations.RunPython.noop),
    ]
