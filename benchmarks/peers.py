"""The others that the portal is measured against: found on this machine, or installed below .venv."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Ignored by git, removed by `make clean`.
TOOLS = ROOT / ".venv" / "benchmarks"
TUS_PACKAGES = ("@tus/server@2", "@tus/file-store@2")


class Missing(Exception):
    """Something to compare with cannot be had here; the text says why."""


def find_tus():
    """Return the folder whose node_modules holds @tus/server, installed by npm if need be; raises Missing."""
    npm = shutil.which("npm")
    if not (shutil.which("node") and npm):
        raise Missing("@tus/server: there is no node or no npm here")
    folder = TOOLS / "tus"
    if not (folder / "node_modules" / "@tus" / "file-store").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _run(folder, npm, "install", "--prefix", ".", "--no-audit", "--no-fund", *TUS_PACKAGES)
    return folder


def find_nginx():
    """Return the path of an nginx with its DAV module: the system's, else Debian's unpacked; raises Missing."""
    ours = TOOLS / "nginx" / "usr" / "sbin" / "nginx"
    for path in (shutil.which("nginx"), ours if ours.exists() else None):
        if path:
            return _with_dav(path)
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg")
    if not (apt and dpkg):
        raise Missing("nginx: it is not installed, and there is no apt-get to unpack it with")
    # Unpacked, not installed: that needs no root and starts no service.
    folder = TOOLS / "nginx"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _run(folder, apt, "download", "nginx")
        _run(folder, dpkg, "-x", *map(str, folder.glob("nginx_*.deb")), ".")
    except Missing as error:
        raise Missing(f"nginx: it is not installed. {error}") from None
    return _with_dav(ours)


def _with_dav(path):
    try:
        said = subprocess.run([path, "-V"], capture_output=True, text=True).stderr
    except OSError as error:
        raise Missing(f"nginx: {error}") from error
    if "http_dav_module" not in said:
        raise Missing("nginx: this one has no DAV module")
    return str(path)


def find_curl():
    """Return the path of curl, the system's; raises Missing."""
    path = shutil.which("curl")
    if not path:
        raise Missing("curl: it is not installed")
    return path


def find_pgbench():
    """Return the path of pgbench, the system's; raises Missing."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/pgbench")
    found = sorted(versions, key=lambda path: path.parent.parent.name.zfill(4), reverse=True)
    path = str(found[0]) if found else shutil.which("pgbench")
    if not path:
        raise Missing("pgbench: it is not installed (it comes with PostgreSQL's own packages)")
    return path


def _run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{Path(command[0]).name} failed: {last[-1] if last else done.returncode}")
