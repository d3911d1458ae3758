from django.db import migrations


class Migration(migrations.Migration):
    # 0015 has made what serves the same lists, those of the code before as well.
    dependencies = [("portal", "0015_event_numbered")]

    operations = [
        migrations.RemoveIndex(model_name="outboxevent", name=name)
        for name in ("event_owner_type_seq", "event_batch_seq")
    ]
