"""Calls in any order, with crashes, faults and expiry among them, against a model of the contract."""

import logging
from contextlib import ExitStack, closing

import pytest
from hypothesis import HealthCheck, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.rounds import FULL, SEED
from tests.samples import make_caller, make_token
from tests.stateful.doors import Doors, put_in_place
from tests.stateful.fates import Fate, join_database, make_fated_storage
from tests.stateful.machine import Walk
from tests.stateful.model import CHUNK
from tests.stateful.world import OWNERS, TOKENS, World

#: The quick run takes the same walks each time: a model of this size has faults of its own, for full runs to find.
WALKS, STEPS, WAY = (400, 40, SEED) if FULL else (14, 40, 1)


@pytest.fixture
def world(transactional_db, monkeypatch, settings):
    """The portal in this process, its bytes in memory, and what may go wrong with both."""
    settings.PORTAL_CHUNK_SIZE = CHUNK
    # A line for each request, of which there are thousands, and a warning for each fault.
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    fate = Fate()
    storage = make_fated_storage(fate, monkeypatch)
    put_in_place(storage, monkeypatch)
    with ExitStack() as stack:
        join_database(fate, monkeypatch, stack)
        doors = {}
        for owner, words in OWNERS.items():
            for word in words:
                token = make_token(make_caller(owner), scopes=sorted(TOKENS[word]))
                doors[owner, word] = stack.enter_context(closing(Doors(owner, word, token)))
        yield World(doors, storage, fate)


@pytest.mark.timeout(3600 if FULL else 600)
def test_calls_in_any_order_do_what_the_contract_says(world):
    @seed(WAY)
    def walk():
        return Walk(world)

    chance = {"max_examples": WALKS, "stateful_step_count": STEPS, "deadline": None, "database": None}
    run_state_machine_as_test(
        walk, settings=hypothesis_settings(**chance, print_blob=True, suppress_health_check=list(HealthCheck))
    )
    # A walk that met nothing would have proved nothing.
    met = {name for what, name in world.seen if what == "met"}
    done = {what for what, outcome in world.seen if outcome in ((200, None), (201, None), (204, None))}
    assert "kill" in met
    assert done >= {"create_batch", "open_session", "declare"}
