"""The manifest of a batch whose files were deleted: what is left of them."""

from django.db import models

from portal.models.batches import UploadBatch
from portal.models.fields import id_field


class ManifestBlock(models.Model):
    """Some lines of the manifest, in order; the receipt gives them out when there is no file to read them from."""

    id = id_field()
    batch = models.ForeignKey(UploadBatch, on_delete=models.PROTECT, related_name="manifest_blocks", db_index=False)
    #: 0-based.
    number = models.IntegerField()
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="manifest_block_once_in_batch")]

    def __str__(self):
        return f"block {self.number} of the manifest of {self.batch_id}"
