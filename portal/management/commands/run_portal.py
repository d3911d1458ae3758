"""`manage.py run_portal`: the whole portal on this machine, from an empty folder to a server that answers."""

import contextlib
import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, connection, connections

import boot
from boot.readiness import base_url, port_is_free, wait_until_ready
from boot.serve import STOP_SECONDS
from boot.supervise import Program, Supervisor
from portal.exceptions import PortalError
from portal.management.first_words import first_words
from portal.services.accounts import ensure_admin
from portal.services.tokens import create_token
from portal.storage import StorageUnavailable, get_storage

TOKEN_LIFETIME = timedelta(days=7)
MOST_PORT, MOST_WORKERS = 65_535, 99
#: It starts the worker with less than Django's own way of running a command.
MANAGE = Path(boot.__file__).resolve().parent.parent / "manage.py"


def read_number(text, what, most):
    """Return `text` as a whole number from 1 to `most`; refuses anything else by the name of `what` it is."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise CommandError(f"{what} must be a number from 1 to {most}, not {text!r}.")
    return int(text)


class Command(BaseCommand):
    """Check, migrate, make the first admin, start server and worker, say how to use them, keep them up."""

    help = (
        "Run the portal on this machine: migrates, makes the first admin, starts the server and a worker, "
        "prints how to use them, and keeps both running until SIGTERM or Ctrl-C."
    )
    requires_system_checks = ()

    def add_arguments(self, parser):
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument(
            "--port", default=os.environ.get("PORT") or "8000", help="port to listen on ($PORT, else 8000)"
        )
        parser.add_argument(
            "--workers",
            default=os.environ.get("GRANIAN_WORKERS") or "1",
            help="processes of the server ($GRANIAN_WORKERS, else 1)",
        )
        parser.add_argument("--no-worker", action="store_true", help="start no background worker")

    def handle(self, *args, host, port, workers, no_worker, **options):
        port = read_number(port, "The port", MOST_PORT)
        workers = read_number(workers, "--workers (GRANIAN_WORKERS)", MOST_WORKERS)
        require_free_port(host, port)
        with database_errors():
            call_command("check", databases=list(connections))
            call_command("migrate", verbosity=0, interactive=False)
            login = self.first_login()
        require_storage()
        programs = [Program("server", server_command(host, port, workers))]
        if not no_worker:
            programs.append(Program("worker", [sys.executable, str(MANAGE), "run_worker"]))
        self.serve(Supervisor(programs, report=self.say_error), base_url(host, port), login)

    def first_login(self):
        """Return what to tell about the admin, made now if there is none, with a new token."""
        try:
            admin, password = ensure_admin()
        except PortalError as error:
            raise CommandError(error.detail) from error
        if password:
            # Told at once as well: should the server not come up, it would be lost.
            self.say(f"Made the first admin: {admin.get_username()} / {password}   (shown this once)")
        _, token = create_token(admin, name="make run", expires_in=TOKEN_LIFETIME)
        # The supervisor has no more use for the database.
        connections.close_all()
        return {
            "admin": admin.get_username(),
            "password": password,
            "token": token,
            "days": TOKEN_LIFETIME.days,
        }

    def serve(self, supervisor, url, login):
        """Start the programs, say how to use the portal once it answers, stay until a stop is asked for."""
        supervisor.catch_signals()
        try:
            supervisor.start()
            trouble = wait_until_ready(url, ended=supervisor.programs[0].ended, pause=supervisor.pause)
            if trouble:
                raise CommandError(trouble)
            if not supervisor.stopping:
                self.say(first_words(url, **login))
            supervisor.run()
        finally:
            if supervisor.stopping:
                self.say(f"Stopping: requests that are under way have up to {STOP_SECONDS} seconds.")
            supervisor.stop()
        self.say("Stopped.")

    def say(self, text):
        """Write to stdout now, also into a pipe."""
        self.stdout.write(text)
        self.stdout.flush()

    def say_error(self, text):
        """Write to stderr now."""
        self.stderr.write(text)
        self.stderr.flush()


def require_free_port(host, port):
    """Refuse in one line when the server could not listen there."""
    try:
        if port_is_free(host, port):
            return
    except OSError as error:
        raise CommandError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error
    raise CommandError(f"Port {port} on {host} is in use. Choose another: PORT=8001 make run")


@contextlib.contextmanager
def database_errors():
    """Refuse in one line when the database cannot be used, with what is wrong with an SQLite file's folder."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(f"The database cannot be used: {error}. {explain_sqlite()}".strip()) from error


def explain_sqlite():
    """Return why the folder of an SQLite database cannot be written, as a sentence; empty when it can."""
    if connection.vendor != "sqlite":
        return ""
    folder = Path(connection.settings_dict["NAME"]).parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"The folder {folder} cannot be written: {error.strerror}."


def require_storage():
    """Refuse in one line when nothing can be stored."""
    try:
        get_storage().check()
    except StorageUnavailable as error:
        raise CommandError(f"The storage cannot be used: {error}") from error


def server_command(host, port, workers):
    """Return the command that runs the server."""
    return [sys.executable, "-m", "boot.serve", "--host", host, "--port", str(port), "--workers", str(workers)]
