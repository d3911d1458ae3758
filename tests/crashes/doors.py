"""Both doors without a server: one request in, status and body out, in this very thread.

The JSON calls go through Django as it is; a part makes the calls of `portal.transfer.receive` one after the other.
Imported once Django is set up.
"""

import io
import json
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.db import close_old_connections, connection
from django.test import Client

from portal.models import UploadSession
from portal.problems import render_problem
from portal.services import finalize
from portal.services.claims import claim_session
from portal.services.files import open_content
from portal.services.parts import begin_part
from portal.services.tokens import authenticate_token, read_bearer
from portal.services.worker import Worker
from portal.storage import get_storage

settings.ALLOWED_HOSTS = ["testserver"]
#: Nobody else works here, so there is nobody to wait for.
finalize.WAIT_SECONDS = 0
client = Client(raise_request_exception=False)
#: A part is written in so many pieces: a writer that dies between two leaves half of it.
PIECE = 48 * 1024


def ask(method, path, body, headers):
    """Answer one request as `(status, body)`; a fault of the database or the disk becomes its problem."""
    close_old_connections()
    route = path.split("?")[0].strip("/").split("/")
    try:
        if method == "PUT" and route[3:4] == ["parts"]:
            return 200, json.dumps(put_part(route[2], int(route[4]), body, headers)).encode()
        if route[0] == "files" and route[2:] == ["content"]:
            return 200, read_content(route[1], headers)
    except Exception as error:  # noqa: BLE001 - the byte door does the same
        status, _, text = render_problem(error)
        return status, bytes(text)
    finally:
        close_old_connections()
    kind = headers.get("content-type", "application/json")
    answer = client.generic(method, path, body or b"", content_type=kind, headers=headers)
    close_old_connections()
    return answer.status_code, answer.getvalue()


def put_part(session_id, number, data, headers):
    """Write one part: the calls of the byte door, in its order."""
    caller = authenticate_token(read_bearer(headers["Authorization"]))
    writer = begin_part(caller, UUID(session_id), number, len(data), storage=get_storage())
    try:
        while not writer.recorded and not writer.acquire():
            raise TimeoutError("the range is busy, and nobody else lives")
        for start in range(0, len(data), PIECE):
            writer.write(data[start : start + PIECE])
        writer.sync()
        return writer.record()
    finally:
        writer.close()


def read_content(file_id, headers):
    """Return the bytes of a STORED file."""
    caller = authenticate_token(read_bearer(headers["Authorization"]))
    content = open_content(caller, UUID(file_id), storage=get_storage())
    with content.stored as stored:
        return stored.read(0, content.size)


def manage(*arguments):
    """Run a command of manage.py; return what it printed."""
    close_old_connections()  # a process of its own would have another
    said = io.StringIO()
    call_command(*arguments, stdout=said)
    return said.getvalue()


def leave(session_id):
    """Claim a session, and leave the work to the worker."""
    claim_session(UploadSession.objects.select_related("file").get(pk=session_id)).leave()


def work():
    """Do one round of the worker; return whether no fault ended it early."""
    return Worker(storage=get_storage(), stopped=lambda seconds: False).round()


def warm_up(authorization):
    """Open what a server has open that has run for a while: the connection, the folders, the routes."""
    get_storage()
    ask("GET", "/batches?limit=1", b"", {"Authorization": authorization})
    connection.ensure_connection()
