from django.db import migrations, models
from django.db.models import Q


def forget_due_at(apps, schema_editor):
    """What is delivered or dead is due no more; there are few, since deliveries are new."""
    apps.get_model("portal", "Delivery").objects.exclude(status="PENDING").update(due_at=None)


class Migration(migrations.Migration):
    dependencies = [("portal", "0008_batch_files_deleted")]

    operations = [
        migrations.RemoveIndex(model_name="delivery", name="delivery_due"),
        migrations.AlterField(model_name="delivery", name="due_at", field=models.DateTimeField(blank=True, null=True)),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["endpoint", "due_at"], name="delivery_due_at", condition=Q(due_at__isnull=False)
            ),
        ),
        migrations.RunPython(forget_due_at, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=Q(status="PENDING", due_at__isnull=False) | (Q(due_at__isnull=True) & ~Q(status="PENDING")),
                name="delivery_due_while_pending",
            ),
        ),
    ]
