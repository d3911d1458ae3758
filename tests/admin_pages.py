"""The admin's pages, read as an operator reads them, and rows whose names would like to be more than text."""

from portal.models import (
    ApiToken,
    Delivery,
    Endpoint,
    EventCounter,
    IdempotencyKey,
    IngestFile,
    ManifestBlock,
    OutboxEvent,
    OwnerUsage,
    PartClaim,
    Recount,
    UploadBatch,
    UploadPart,
    UploadSession,
    WorkerBeat,
)
from portal.services.deliveries import hand_out
from portal.services.events import number_events
from portal.services.heartbeats import Heart
from portal.services.idempotency import claim_key
from portal.services.part_claims import claim_parts
from portal.services.recounts import recount_some
from portal.storage import get_storage
from tests.samples import make_batch, make_token, open_session, send_parts, store_file

MODELS = [
    ApiToken,
    Delivery,
    Endpoint,
    EventCounter,
    IdempotencyKey,
    IngestFile,
    ManifestBlock,
    OutboxEvent,
    OwnerUsage,
    PartClaim,
    Recount,
    UploadBatch,
    UploadPart,
    UploadSession,
    WorkerBeat,
]
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=y>{{ 7|add:7 }}%s&amp;"


def url(model, tail=""):
    """Return the address of a model's list, or of what lies below it."""
    return f"/admin/portal/{model._meta.model_name}/{tail}"


def make_rows(ann):
    """At least one row of each model, with names that would like to be more than text."""
    storage = get_storage()
    batch = make_batch(ann, name=HOSTILE, metadata={HOSTILE: HOSTILE}, expected_files=9)
    fields = {"original_filename": HOSTILE, "content_type": HOSTILE, "path": f"a/{HOSTILE}".replace("</", "<")}
    store_file(ann, storage, batch=batch, metadata={HOSTILE: HOSTILE}, **fields)
    session = open_session(ann, storage, size=1, original_filename=HOSTILE)
    send_parts(ann, storage, session, b"x")
    UploadSession.objects.filter(pk=session.pk).update(claim_token=session.pk)
    ManifestBlock.objects.create(batch=batch, number=0, text=HOSTILE)
    make_token(ann, name=HOSTILE[:100])
    claim_key(ann, HOSTILE, "0" * 64)
    claim_parts(open_session(ann, storage).pk, [1]).forget()
    number_events()
    Endpoint.objects.create(url=f"https://runner.example.org/{HOSTILE}")
    hand_out()
    recount_some()
    Heart(stopped=lambda seconds: True).beat()
    return {model: list(model.objects.all()) for model in MODELS}


def read(client, address):
    """Return the page at an address."""
    response = client.get(address)
    assert response.status_code == 200, f"{address}: {response.status_code}"
    return response.content.decode()
