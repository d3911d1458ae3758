from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portal", "0013_file_known_bytes")]

    operations = [
        migrations.AddField(
            model_name="idempotencykey", name="answer_text", field=models.TextField(db_default="", default="")
        ),
    ]
