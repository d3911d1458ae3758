"""The order of system calls: bytes before names, names before rows, rows before the answer."""

import pytest

from tests.crashes.call_order import Order, check_order
from tests.crashes.small import SmallPortal
from tests.crashes.strace import Call, NoTrace
from tests.needs import miss

STORAGE = "/data/storage"
STAGED, STORED = f"{STORAGE}/staging/aa/1", f"{STORAGE}/objects/bb/cc/2"


def call(name, arguments):
    """Return a call that went well."""
    return Call(name, 1, arguments, 0)


WRITE = call("pwrite64", f'5<{STAGED}>, "bytes", 5, 0')
SYNC = call("fdatasync", f"5<{STAGED}>")
SYNC_WHOLE = call("fsync", f"5<{STAGED}>")
COMMIT = call("sendto", '3<socket:[1]>, "Q\\0\\0\\0\\vCOMMIT\\0", 12')
COMMITTED = call("recvfrom", '3<socket:[1]>, "C\\0\\0\\0\\vCOMMIT\\0"')
KEPT = call("sendto", '3<socket:[1]>, "Q object_key = bb/cc/2"')
RENAME = call("rename", f'"{STAGED}", "{STORED}"')
SYNC_NEW, SYNC_OLD = (call("fsync", f"6<{folder}>") for folder in (f"{STORAGE}/objects/bb/cc", f"{STORAGE}/staging/aa"))
ANSWER = call("write", '4<socket:[2]>, "200"')


def test_every_operation_of_the_portal_keeps_the_order(tmp_path, fresh_database, need):
    need("strace")
    try:
        with fresh_database() as url, SmallPortal(tmp_path, database_url=url) as portal:
            findings, seen = check_order(portal)
    except NoTrace as error:
        miss(str(error))
    assert not findings
    # An order of nothing would be kept as well.
    assert seen["parts synced"] > 5
    assert seen["renames"] == 3
    assert min(seen["names synced"], seen["commits"], seen["answers"]) > 20


RIGHT = [WRITE, SYNC, KEPT, COMMIT, COMMITTED, SYNC_WHOLE, RENAME, SYNC_NEW, SYNC_OLD, COMMIT, COMMITTED, ANSWER]


def test_the_right_order_has_no_finding():
    assert Order(STORAGE).read(RIGHT).findings == []


@pytest.mark.parametrize(
    ("left_out", "finding"),
    [
        (SYNC, "a commit goes out before bytes are synced: staging"),
        (SYNC_WHOLE, "a file gets its name before its bytes are synced"),
        (KEPT, "a file is renamed before its destination is in a committed row"),
        (SYNC_NEW, "a commit goes out before a folder is synced: objects, {'is moved here'}"),
        (SYNC_OLD, "a commit goes out before a folder is synced: staging, {'is moved away'}"),
    ],
)
def test_each_step_that_is_left_out_is_found(left_out, finding):
    calls = [each for each in RIGHT if each is not left_out]
    assert Order(STORAGE).read(calls).findings == [finding]


def test_an_answer_before_its_commit_has_landed_is_found():
    calls = [WRITE, SYNC, COMMIT, ANSWER]
    assert Order(STORAGE).read(calls).findings == ["an answer goes out before its rows are committed"]
