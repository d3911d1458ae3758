"""Every answer that ann and bob get in these tests is one that /schema describes."""

import pytest

from tests.schema.description import Description


@pytest.fixture(scope="session")
def description(portal_server):
    """The running portal's own description of itself."""
    return Description(portal_server.url)


@pytest.fixture(autouse=True)
def described(request):
    """Hold each answer against /schema: its status is documented, its body is of the documented form."""
    names = {"ann_api", "bob_api"} & set(request.fixturenames)
    sessions = [request.getfixturevalue(name).session for name in names]
    if not sessions:
        yield
        return
    hook = request.getfixturevalue("description").hook
    for session in sessions:
        session.hooks["response"].append(hook)
    yield
    for session in sessions:
        session.hooks["response"].remove(hook)
