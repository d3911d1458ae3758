"""The portal of the walk and who uses it: two owners who must never notice each other, and tokens that may do less."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from portal.models import IdempotencyKey, PartClaim, UploadSession
from portal.services.worker import clean_up
from portal.storage.base import Storage
from tests.crashes.small import TABLES
from tests.stateful.fates import Fate
from tests.stateful.model import Model

#: By the word of a token, its scopes.
TOKENS = {"all": {"upload", "read", "delete"}, "upload": {"upload"}, "read": {"read"}}
#: Which tokens each owner has.
OWNERS = {"ann": list(TOKENS), "bob": ["all"]}


def needed_scopes(method, path):
    """Return the scopes that a call needs, all of them."""
    if method == "GET":
        return {"read"}
    if path.startswith("/files/"):
        return {"delete"}
    return {"upload", "delete"} if path.endswith("?files=delete") else {"upload"}


@dataclass
class Owner:
    """What must be there of one owner, what it said to make it, and the first receipt of each batch that has one."""

    name: str
    model: Model = field(default_factory=Model)
    receipts: dict = field(default_factory=dict)
    #: By what each thing was made, to say it again: by name, and of loose files by key.
    said: dict = field(default_factory=dict)
    posted: set = field(default_factory=set)
    #: What it was given to send parts to the store itself, by session and number.
    urls: dict = field(default_factory=dict)
    named: int = 0


@dataclass
class World:
    """The portal that is called, in this process: `doors` by the name of an owner and the word of a token."""

    doors: dict
    storage: Storage
    fate: Fate
    #: What happened to it, and how often.
    seen: Counter = field(default_factory=Counter)

    def wipe(self):
        """Forget everything but who may ask."""
        self.fate.forget()
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM portal_{table}")
        self.storage.wipe()

    def recover(self):
        """Whoever died is replaced, every lease runs out, and the worker does its round."""
        if self.fate.dead:
            self.storage.release_locks()
            connection.close()
        self.fate.forget()
        long_ago = {"lease_until": Now() - timedelta(seconds=1)}
        UploadSession.objects.filter(status="FINALIZING").update(**long_ago)
        IdempotencyKey.objects.filter(status="CLAIMED").update(**long_ago)
        PartClaim.objects.update(**long_ago)
        clean_up(storage=self.storage)
