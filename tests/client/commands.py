"""The command `portal`, called in this process, or as one of its own."""

import ctypes
import os
import subprocess
import sys

from typer.testing import CliRunner

from portal_client.cli import app
from tests.design.modules import ROOT

SOURCES = ROOT / "client" / "src"
PRCTL = ctypes.CDLL(None).prctl
#: Of linux/prctl.h and linux/capability.h.
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def run(*arguments, stdin=None):
    """Run the command; return the result, and fail on a traceback."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def start(folder, url, token, *arguments, command=("-m", "portal_client"), stdout=subprocess.PIPE, path=SOURCES):
    """Start the command in `folder`, its home, where its packages are found on `path`."""
    # Buffered, as it is for most: what is left in a buffer can fail at the very end.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "PYTHONUNBUFFERED"))}
    env = kept | {
        "PYTHONPATH": str(path),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PORTAL_URL": url,
        "PORTAL_TOKEN": token,
    }
    return subprocess.Popen(
        [sys.executable, *map(str, (*command, *arguments))],
        env=env,
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_give_up_override,
    )


def _give_up_override():
    """Let files be closed to root too, by their modes; does nothing for anybody else."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        PRCTL(PR_CAPBSET_DROP, capability, 0, 0, 0)
