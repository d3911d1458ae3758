"""Rows: fields, states and the moves between them, constraints, named reads. No rules; those are in services."""

from portal.models.batches import UploadBatch
from portal.models.deliveries import Delivery
from portal.models.endpoints import Endpoint
from portal.models.files import IngestFile
from portal.models.idempotency import IdempotencyKey
from portal.models.manifests import ManifestBlock
from portal.models.outbox import EventCounter, OutboxEvent
from portal.models.parts import PartClaim, UploadPart
from portal.models.sessions import UploadSession
from portal.models.tokens import ApiToken
from portal.models.usage import OwnerUsage
from portal.models.workers import Recount, WorkerBeat

__all__ = [
    "ApiToken",
    "Delivery",
    "Endpoint",
    "EventCounter",
    "IdempotencyKey",
    "IngestFile",
    "ManifestBlock",
    "OutboxEvent",
    "OwnerUsage",
    "PartClaim",
    "Recount",
    "UploadBatch",
    "UploadPart",
    "UploadSession",
    "WorkerBeat",
]
