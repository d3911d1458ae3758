"""Calls in any order, with crashes, faults and expiry among them, against a model of the contract."""

import logging
from contextlib import ExitStack, closing

import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from portal.services import part_claims
from tests.rounds import FULL, SEED
from tests.samples import make_caller, make_token
from tests.stateful.bucket import BucketStorage
from tests.stateful.doors import AtOnce, Doors, put_in_place
from tests.stateful.fates import Fate, join_database, make_fated_storage
from tests.stateful.machine import StoreWalk, Walk
from tests.stateful.model import CHUNK
from tests.stateful.world import OWNERS, TOKENS, World

#: The quick run takes the same walks each time: a model of this size has faults of its own, for full runs to find.
WALKS, STORE_WALKS, STEPS, WAY = (400, 150, 40, SEED) if FULL else (12, 4, 40, 1)


@pytest.fixture
def make_world(transactional_db, monkeypatch, settings):
    """Return what makes the portal in this process, on a storage, and what may go wrong with it."""
    settings.PORTAL_CHUNK_SIZE = CHUNK
    # A line for each request, of which there are thousands, and a warning for each fault.
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    with ExitStack() as stack:

        def make(storage, fate):
            put_in_place(storage, monkeypatch)
            join_database(fate, monkeypatch, stack)
            doors = {}
            for owner, words in OWNERS.items():
                for word in words:
                    token = make_token(make_caller(owner), scopes=sorted(TOKENS[word]))
                    doors[owner, word] = stack.enter_context(closing(Doors(owner, word, token)))
            return World(doors, storage, fate)

        yield make


def take_walks(machine, world, walks):
    """Walk so often; the quick run takes the same ways each time."""

    @seed(WAY)
    def walk():
        return machine(world)

    chance = {"max_examples": walks, "stateful_step_count": STEPS, "deadline": None, "database": None}
    run_state_machine_as_test(
        walk, settings=hypothesis_settings(**chance, print_blob=True, suppress_health_check=list(HealthCheck))
    )
    # Calls that came to something: a walk that met nothing would have proved nothing.
    return {what for what, outcome in world.seen if outcome in ((200, None), (201, None), (204, None))}


@pytest.mark.timeout(3600 if FULL else 600)
def test_calls_in_any_order_do_what_the_contract_says(make_world, monkeypatch):
    fate = Fate()
    world = make_world(make_fated_storage(fate, monkeypatch), fate)
    assert take_walks(Walk, world, WALKS) >= {"create_batch", "open_session", "declare"}
    assert "kill" in {name for what, name in world.seen if what == "met"}


@pytest.mark.timeout(3600 if FULL else 600)
def test_parts_that_go_to_the_store_itself_are_what_the_contract_says(make_world, monkeypatch, settings):
    settings.PORTAL_DOWNLOAD = "proxy"
    # No time goes by for claims here, and a thread would have another connection.
    monkeypatch.setattr(part_claims.Keeper, "add", lambda keeper, token, at: keeper._known_at.update({token: at}))
    world = make_world(BucketStorage(monkeypatch, AtOnce), Fate())
    assert take_walks(StoreWalk, world, STORE_WALKS) >= {"presign", "report", "finalize"}
