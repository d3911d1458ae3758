"""The operators' pages cost the same with a million rows: nothing is counted or read to its end."""

import re
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.admin import base
from portal.models import OutboxEvent, UploadBatch
from portal.services.audit import record_action
from tests.admin_pages import MODELS, read, url
from tests.samples import make_batch
from tests.services.situations import plans_of

#: Looked up by one value, or by the ids of the rows of a page.
BOUNDED = re.compile(r'"(id|owner_id|session_id|event_id)" (=|IN) ')


@pytest.fixture
def rows(admin_rows, admin_user):
    """At least one row of each model."""
    record_action(admin_user, admin_rows[UploadBatch][0], "Recount")
    return admin_rows


def statements(client, address):
    """Return the reads of rows that a page makes; each of a few rows at most."""
    with CaptureQueriesContext(connection) as queries:
        read(client, address)
    return [query["sql"] for query in queries if re.search(r'FROM "?(portal_|django_admin_log)', query["sql"])]


def unbounded(found):
    """Return the statements that may read a whole table."""
    return [sql for sql in found if " LIMIT " not in sql and not BOUNDED.search(sql.partition(" WHERE ")[2])]


@pytest.mark.parametrize("model", [*MODELS, LogEntry])
def test_no_page_counts_or_reads_a_whole_table(admin_client, rows, model):
    start = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    page = read(admin_client, start)
    filters = {found.replace("&amp;", "&") for found in re.findall(r'href="(\?[^"]*)"', page)}
    first = model.objects.first()
    addresses = [start, f"{start}?q=alert", f"{start}?q={first.pk}", f"{start}{first.pk}/change/"]
    for address in [*addresses, *(start + query for query in filters)]:
        found = statements(admin_client, address)
        assert found, address
        assert not unbounded(found), address


def test_the_search_for_unbounded_statements_finds_one():
    assert unbounded(['SELECT COUNT(*) AS "__count" FROM "portal_ingestfile"'])
    assert unbounded(['SELECT "id" FROM "portal_ingestfile" WHERE "status" = \'STORED\' ORDER BY "id"'])


def test_a_list_counts_no_further_than_its_limit(admin_client, ann, monkeypatch):
    monkeypatch.setattr(base, "COUNT_LIMIT", 60)
    monkeypatch.setattr(base.ReadOnlyAdmin, "list_per_page", 25)
    for number in range(65):
        make_batch(ann, name=f"batch {number}")
    first, last = read(admin_client, url(UploadBatch)), read(admin_client, url(UploadBatch, "?p=3"))
    assert (first.count("/change/"), last.count("/change/")) == (25, 10)


@pytest.mark.parametrize("model", MODELS)
def test_no_page_has_a_box_to_choose_from_other_rows(admin_client, rows, model):
    for tail in ("", f"{rows[model][0].pk}/change/"):
        boxes = re.findall(r"<select name=\"(\w+)\"", read(admin_client, url(model, tail)))
        assert set(boxes) <= {"action"}


def test_lists_are_ordered_by_their_key_alone(admin_client, rows):
    """Any other order would sort a million rows."""
    for model in MODELS:
        page = admin.site._registry[model]
        assert set(page.sortable_by) == {"id"}
        for order in ("", "?o=2.-3.4", "?o=-1", "?o=-2"):
            sql = " ".join(statements(admin_client, url(model, order)))
            assert {found.split(".")[-1] for found in re.findall(r"ORDER BY ([^ ]+) ", sql)} <= {
                '"id"',
                f'"{model._meta.pk.column}"',
            }, order


def test_the_events_of_a_batch_are_found_by_indexes_with_and_without_their_number(ann):
    batch = uuid4()
    made = [OutboxEvent(owner=ann.user, event_type="file.uploaded", batch_id=uuid4()) for _ in range(2000)]
    made += [OutboxEvent(owner=ann.user, event_type="file.uploaded", batch_id=batch) for _ in range(3)]
    for number, event in enumerate(made, 1_000):
        event.subject_id, event.seq, event.payload = event.pk, number, {}
    made[-1].seq = None
    OutboxEvent.objects.bulk_create(made)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    page, found = admin.site._registry[OutboxEvent], []

    def search():
        rows, _ = page.get_search_results(None, OutboxEvent.objects.order_by("-pk"), str(batch))
        found.extend(rows)

    *_, asked, plan = plans_of(search)
    assert {event.pk for event in found} == {event.pk for event in made[-3:]}
    assert "event_batch_numbered" in asked
    assert "event_batch_numbered" in plan
    assert not re.search(r"SCAN portal_outboxevent(?! USING)|Seq Scan", plan)
