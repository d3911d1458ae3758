"""A thin slice of the sweep over system calls; `python -m tests.crashes.every_call` is the whole of it."""

import pytest
from django.apps import apps

from tests.crashes.endings import OPERATIONS
from tests.crashes.every_call import run_sweep
from tests.crashes.small import TABLES, SmallPortal
from tests.crashes.strace import NoTrace
from tests.needs import miss

#: The points that are always tried are where most goes wrong: the last ones, at which the answer is on its way.
EVERY = 61


@pytest.fixture
def portal(tmp_path, fresh_database, need):
    """Small portals that can be followed."""
    need("strace")
    with fresh_database() as url, SmallPortal(tmp_path, database_url=url) as portal:
        yield portal


def test_each_scene_begins_with_nothing_but_its_caller():
    tables = {model._meta.db_table for model in apps.get_app_config("portal").get_models(include_auto_created=True)}
    assert tables == {f"portal_{name}" for name in TABLES} | {"portal_apitoken"}


def test_nothing_is_lost_at_any_call_and_the_client_goes_on(portal):
    try:
        sweep = run_sweep(portal, operations=OPERATIONS, kinds=["kill", "EIO"], every=EVERY, looks=False)
    except NoTrace as error:
        miss(str(error))
    assert not sweep.faults, "\n".join(sweep.faults)
    # A sweep that hit nothing would have proved nothing.
    assert set(sweep.calls) == set(OPERATIONS)
    assert all(sweep.points[name, "kill"] for name in OPERATIONS)
    assert sum(sweep.points[name, "EIO"] for name in OPERATIONS) >= len(OPERATIONS) - 1
