"""What makes an index of a table that may have millions of rows."""

from django.db import migrations


class AddLargeIndex(migrations.AddIndex):
    """Adds an index, on PostgreSQL while others write; after it was broken off it can be run again, back as well.

    Outside a transaction what was made before the break stays: an index that PostgreSQL has begun and not finished,
    which is of no use, and all that the same migration made before.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        self.database_backwards(app_label, schema_editor, from_state, to_state)
        model = to_state.apps.get_model(app_label, self.model_name)
        schema_editor.add_index(model, self.index, **({"concurrently": True} if _waits_for_none(schema_editor) else {}))

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        how = "CONCURRENTLY " if _waits_for_none(schema_editor) else ""
        schema_editor.execute(f"DROP INDEX {how}IF EXISTS {schema_editor.quote_name(self.index.name)}")


def _waits_for_none(schema_editor):
    return schema_editor.connection.vendor == "postgresql"
