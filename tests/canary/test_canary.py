"""No secret is found in what the portal logs, answers or keeps, whatever went wrong while it had it."""

import json
import secrets
from contextlib import ExitStack

import pytest

from tests.canary.paths import PATHS
from tests.canary.scene import PASSWORD, Scene, find_secrets, read_rows
from tests.receiver import SECRET, Receiver
from tests.s3 import CREDENTIALS
from tests.s3_proxy import FaultProxy
from tests.server import LiveServer

PLANTED = "canary-that-is-planted"
#: Makes a user with a password, and three tokens; prints these.
PEOPLE = f"""
import json
from django.contrib.auth import get_user_model
from portal.models import ApiToken
from portal.services.tokens import create_token, find_tokens, revoke_tokens
root = get_user_model().objects.create_superuser("root", password={PASSWORD!r})
kinds = {{"token": ["read", "upload", "delete"], "revoked": ["read"], "narrow": ["read"]}}
made = {{kind: create_token(root, scopes=scopes)[1] for kind, scopes in kinds.items()}}
revoke_tokens(find_tokens(made["revoked"]))
print(json.dumps(made))
"""


def text_of(answer):
    """Return all of an answer, or of what a command printed."""
    return answer if isinstance(answer, str) else f"{answer.status} {answer.headers} {answer.body!r}"


@pytest.fixture(scope="module")
def scene(rclone, fresh_database, tmp_path_factory):
    """A portal on a store behind a proxy, with a worker, whose events go to a receiver."""
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(rclone.endpoint))
        receiver = stack.enter_context(Receiver())
        key = secrets.token_urlsafe(50)
        env = CREDENTIALS | {
            "PORTAL_STORAGE_URL": rclone.storage_url(endpoint=proxy.endpoint),
            "PORTAL_RUNNER_ENDPOINT": receiver.url,
            "PORTAL_RUNNER_SECRET": SECRET,
            "PORTAL_DOWNLOAD": "proxy",
            "PORTAL_OUTBOX_BASE_DELAY_SECONDS": "1",
            "SECRET_KEY": key,
        }
        url = stack.enter_context(fresh_database())
        folder = tmp_path_factory.mktemp("canary")
        server = stack.enter_context(LiveServer(folder, database_url=url, env=env, run_worker=True))
        tokens = json.loads(server.manage("shell", "--verbosity=0", "--command", PEOPLE).splitlines()[-1])
        found = Scene(server, proxy, receiver, tokens)
        found.secrets |= {"password": PASSWORD, "runner": SECRET, "key": key}
        found.secrets |= {"s3": CREDENTIALS["AWS_SECRET_ACCESS_KEY"], "database": "canary-database-oi3ooPh"}
        if "@" in url:
            found.secrets["postgres"] = url.partition("@")[0].rpartition(":")[2]
        yield found


@pytest.fixture(scope="module")
def outcomes(scene):
    """The answers on each path."""
    found = {}
    for name, go in PATHS.items():
        scene.answers = []
        go(scene)
        found[name] = scene.answers
    return found


def test_there_are_thirty_and_each_goes_wrong(outcomes):
    statuses = {name: [getattr(answer, "status", 400) for answer in answers] for name, answers in outcomes.items()}
    assert len(statuses) >= 30
    # A form is shown again, with what was wrong.
    went_well = {name for name, found in statuses.items() if not found or (min(found) < 400 and "login" not in name)}
    assert went_well <= {name for name in PATHS if "receiver" in name}, statuses
    assert sum(status >= 500 for found in statuses.values() for status in found) >= 5


@pytest.mark.parametrize("name", PATHS)
def test_no_answer_has_a_secret(scene, outcomes, name):
    assert not find_secrets("\n".join(map(text_of, outcomes[name])), scene.secrets)


def test_no_log_has_a_secret(scene, outcomes):
    log = scene.server.read_log()
    assert "Traceback" in log
    assert not find_secrets(log, scene.secrets)


def test_no_row_has_a_secret(scene, outcomes):
    rows = read_rows(scene.server.database_url)
    assert "nobody" in rows, "the failed logins are on record"
    assert not find_secrets(rows, scene.secrets)


def test_what_is_planted_is_found(scene, outcomes):
    """Else the search would find nothing because it looks at nothing."""
    planted = {"planted": PLANTED}
    body = b'{"name": "%s"}' % PLANTED.encode()
    answer = scene.ask("POST", "/batches", "Content-Type: application/json", body=body)
    scene.ask("GET", f"/{PLANTED}")
    places = [text_of(answer), scene.server.read_log(), read_rows(scene.server.database_url)]
    assert all(find_secrets(place, planted) for place in places)
