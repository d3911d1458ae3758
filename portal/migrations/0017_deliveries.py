from django.db import migrations


class Migration(migrations.Migration):
    # A word of the admin's; nothing in the database changes.
    dependencies = [("portal", "0016_event_lists")]

    operations = [migrations.AlterModelOptions(name="delivery", options={"verbose_name_plural": "deliveries"})]
