"""Bugs that this design could have, as replacements of exact text, each with the checks that should find it."""

from dataclasses import dataclass

PARTS, CLAIMS = "portal/services/parts.py", "portal/services/claims.py"
PLACES = "portal/services/part_places.py"
ASSEMBLE, OUTCOMES = "portal/services/assemble.py", "portal/services/outcomes.py"
SESSIONS, DESCRIPTORS = "portal/services/sessions.py", "portal/storage/descriptors.py"
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Bug:
    """`changes` are (file, old text, new text); `checks` are (name, database) of `checks.CHECKS`."""

    name: str
    changes: tuple
    checks: tuple


class NotThere(Exception):
    """The code no longer has the text that a bug replaces: the bug must be written anew."""


def seed(bug, tree):
    """Put the bug into the copy of the project in `tree`; refuses with NotThere unless each text is there once.

    What would be no Python is refused with SyntaxError: any check would find that.
    """
    for name, old, new in bug.changes:
        path = tree / name
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise NotThere(f"{bug.name}: {name} has {text.count(old)} times:\n{old}")
        changed = text.replace(old, new)
        compile(changed, name, "exec")
        path.write_text(changed, encoding="utf-8")


def both(*names):
    """Return the checks of these names on both databases."""
    return tuple((name, database) for name in names for database in DATABASES)


LOOK = """session may have closed meanwhile.
            self._look_again()
"""
FENCE = """                with write_transaction():
                    raise_fence(self.session_id)
                self._look_again()
"""
OPENING = "    make_staging(session, storage=storage)\n"
MOVE = "                held.publish()\n"
EARLY = "                _publish([(claim, sha256)], storage)\n"
COUNTING = "        update_batch_counters(files[0].batch_id, stored=len(files), stored_bytes=size)\n"
USAGE = """        taken = {"stored_files": len(files), "stored_bytes": size}
        move_usage(files[0].owner_id, **taken, open_sessions=-len(files), open_bytes=-size)
"""

BUGS = (
    Bug(
        "no second look under the lock",
        (
            (PARTS, LOOK, LOOK.splitlines(keepends=True)[0]),
            (
                PARTS,
                FENCE,
                "                with write_transaction():\n                    raise_fence(self.session_id)\n",
            ),
        ),
        both("races", "services", "every_call part-over", "kills"),
    ),
    Bug(
        "no fence before a range that holds data is written again",
        ((PARTS, FENCE, "                pass\n"),),
        both("every_call part-over", "services", "kills"),
    ),
    Bug(
        "part acknowledged before its sync",
        ((PLACES, "                self.range.sync()\n", "                pass\n"),),
        (*both("call_order", "services"), ("power_cuts", "sqlite")),
    ),
    Bug(
        "row before bytes: STORED before the rename",
        ((ASSEMBLE, MOVE, EARLY + MOVE),),
        both("every_call finalize", "call_order", "services", "kills"),
    ),
    Bug(
        "row before bytes: a session before its staging file",
        (
            (SESSIONS, OPENING, ""),
            (
                SESSIONS,
                "        raise PathTaken from error\n    return session\n",
                f"        raise PathTaken from error\n{OPENING}    return session\n",
            ),
        ),
        both("every_call open", "services", "kills"),
    ),
    Bug(
        "directory not synced",
        ((DESCRIPTORS, "        os.fsync(descriptor)\n", "        pass\n"),),
        (*both("call_order", "storage"), ("power_cuts", "sqlite")),
    ),
    Bug(
        "destination key not kept before the rename",
        ((CLAIMS, "            object_key=session.object_key,\n", ""),),
        both("every_call finalize", "call_order", "services", "kills"),
    ),
    Bug(
        "counters outside the transaction of the transition",
        ((OUTCOMES, COUNTING + USAGE, USAGE + COUNTING[4:]),),
        both("every_call finalize", "services", "kills"),
    ),
)
