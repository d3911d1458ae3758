"""Run a program that ends when whoever started it ends, even by kill -9, and as another user if asked.

    python -m boot.leash --parent PID [--signal TERM] [--user UID:GID] -- PROGRAM ARGUMENTS…

It becomes the program, under the same process id. The order counts: Linux forgets the signal of
PR_SET_PDEATHSIG when the user id changes, and keeps it over an exec. Where there is no prctl the program
runs without the leash.
"""

import argparse
import ctypes
import os
import signal
import sys
import warnings  # noqa: F401 - execvp imports it, and by then its file may be out of the new user's reach

PR_SET_PDEATHSIG = 1


def leashed(command, *, end_with="TERM", user=None):
    """Return `command` as a list that runs it on a leash held by the calling process.

    Start it from a thread that lives as long as the process: Linux watches the thread that forked.
    `end_with` is the signal's name without SIG; `user` is a `(uid, gid)` to become first, for root alone.
    """
    change = ["--user", f"{user[0]}:{user[1]}"] if user else []
    # Without site-packages: the standard library is all it needs, and each start of a process waits for it.
    leash = [sys.executable, "-IS", __file__, "--parent", str(os.getpid()), "--signal", end_with, *change]
    return [*leash, "--", *map(str, command)]


def become(uid, gid):
    """Give up root for the user `uid` and the group `gid`, supplementary groups too."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def hold(parent, number):
    """Ask Linux for the signal `number` when the parent ends; exit now if it has ended already."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(f"leash: process {parent} has ended already")


def main():
    """Read the arguments, put on the leash, become the program."""
    parser = argparse.ArgumentParser(description="Run a program that ends when its parent ends.")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", default="TERM")
    parser.add_argument("--user")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.user:
        become(*map(int, options.user.split(":")))
    hold(options.parent, signal.Signals[f"SIG{options.signal}"])
    try:
        os.execvp(options.command[0], options.command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"leash: {options.command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
