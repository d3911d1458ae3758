"""What somebody else may try with the batches, files and sessions of an owner: to all of it there is nothing there."""

from tests.stateful.caller import Caller
from tests.stateful.outcomes import Told
from tests.stateful.streams import FORM, TAR, pack_form, pack_tar

NOT_THERE = (404, "not_found")
ONE = [("a", b"one", None)]
ENTRY = {"path": "a", "total_size_bytes": 3}
#: By a name: what it is about, the method and the path, the body, and headers.
TRIES = {
    "read a batch": ("batches", "GET", "/batches/{}"),
    "list its files": ("batches", "GET", "/batches/{}/files"),
    "list its events": ("batches", "GET", "/batches/{}/events"),
    "follow it": ("batches", "GET", "/batches/{}/stream"),
    "read its receipt": ("batches", "GET", "/batches/{}/receipt"),
    "cancel it": ("batches", "DELETE", "/batches/{}"),
    "delete its files": ("batches", "DELETE", "/batches/{}?files=delete"),
    "seal it": ("batches", "POST", "/batches/{}/seal", {}),
    "finalize in it": ("batches", "POST", "/batches/{}/finalize", {"session_ids": ["{}"]}),
    "declare in it": ("batches", "POST", "/batches/{}/files", {"files": [ENTRY], "open_sessions": True}),
    "put its manifest": ("batches", "PUT", "/batches/{}/manifest", b'{"path": "a", "total_size_bytes": 3}'),
    "put a file": ("batches", "PUT", "/batches/{}/files/a", b"one"),
    "post a tar": ("batches", "POST", "/batches/{}/files", pack_tar(ONE), f"Content-Type: {TAR}"),
    "post a form": ("batches", "POST", "/batches/{}/files", pack_form(ONE), f"Content-Type: {FORM}"),
    "open a session in it": (
        "batches",
        "POST",
        "/uploads/sessions",
        {"original_filename": "a", "total_size_bytes": 3, "batch_id": "{}", "path": "a"},
    ),
    "read a session": ("sessions", "GET", "/uploads/sessions/{}"),
    "list its parts": ("sessions", "GET", "/uploads/sessions/{}/parts"),
    "put a part": ("sessions", "PUT", "/uploads/sessions/{}/parts/1", b"one"),
    "presign a part": ("sessions", "POST", "/uploads/sessions/{}/presign", {"parts": [[1, 1]]}),
    "report a part": ("sessions", "POST", "/uploads/sessions/{}/parts/1/complete", {}),
    "finalize it": ("sessions", "POST", "/uploads/sessions/{}/finalize"),
    "abort it": ("sessions", "DELETE", "/uploads/sessions/{}"),
    "read a file": ("files", "GET", "/files/{}"),
    "read its bytes": ("files", "GET", "/files/{}/content"),
    "delete it": ("files", "DELETE", "/files/{}"),
}


def trespass(_model, _luck):
    """Nothing comes of it."""
    return Told(frozenset({NOT_THERE}))


class Trespasses(Caller):
    """What others try."""

    def trespass(self, which, hows):
        """Another owner asks for things of this one's, one call after the other."""
        doors, answer, said = self.world.doors[self.others[0].name, "all"], None, ""
        self.meet_fate()
        for kind, method, path, *rest in (TRIES[how] for how in hows):
            things = getattr(self.model, kind)
            if things:
                pk = things[which % len(things)].id
                body, *lines = rest or [None]
                if isinstance(body, dict):
                    body = {name: _put_in(value, pk) for name, value in body.items()}
                answer = doors.ask(method, path.format(pk), body, *lines)
                said = f"{doors.name} {method} {path} of {self.owner.name}'s: {answer.outcome}"
                self.world.seen["trespass", answer.outcome] += 1
                assert self.world.fate.met or answer.outcome == NOT_THERE, said
        if answer:
            self.settle(trespass, answer, said)


def _put_in(value, pk):
    return {"{}": pk}.get(value, value) if isinstance(value, str) else [pk] if value == ["{}"] else value
