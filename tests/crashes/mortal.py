"""The portal as it is run, whose server and worker can be killed one by one, and whose database can be asked."""

import contextlib
import os
import signal
from datetime import UTC, datetime, timedelta

from tests.databases import open_database
from tests.server import ROOT, LiveServer

SERVER, WORKER = "server", "worker"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class MortalPortal(LiveServer):
    """A LiveServer with its worker; `strike` kills, `revive` starts again what was killed."""

    def __init__(self, data_dir, *, env=None, **options):
        # Files that are not hashed at once are the worker's, and no floor of free space stands in the way.
        ours = {"PORTAL_FINALIZE_INLINE_BYTES": "0", "PORTAL_MIN_FREE_BYTES": "0", "PORTAL_LOG_LEVEL": "WARNING"}
        super().__init__(data_dir, env=ours | (env or {}), run_worker=True, **options)
        self.struck_at = LONG_AGO

    def strike(self, *victims):
        """kill -9 for the process groups of the victims."""
        for name in victims:
            # One whose disk has gone may have ended by itself.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process(name).pid, signal.SIGKILL)
        for name in victims:
            self._process(name).wait()
        self.struck_at = datetime.now(UTC)

    def revive(self):
        """Start what does not run, on the same port, and wait until the server is ready."""
        commands = [("-m", "boot.serve", "--port", self.port, "--workers", self.workers)]
        commands.append((ROOT / "manage.py", "run_worker"))
        for place, command in enumerate(commands):
            if self.processes[place].poll() is not None:
                self._spawn(*command)
                self.processes[place] = self.processes.pop()
        self._wait_until_ready()

    def ended(self):
        """Return the names of those that do not run, though nobody killed them."""
        return [name for name in (SERVER, WORKER) if self._process(name).poll() is not None]

    def end_leases(self):
        """Let the claims of those that were struck run out at once, as if a minute had gone by since."""
        with self._connect() as (connection, mark):
            times = [self._as_time(LONG_AGO), self._as_time(self.struck_at)]
            for table, status, since in (
                ("portal_uploadsession", "FINALIZING", "status_at"),
                ("portal_idempotencykey", "CLAIMED", "created_at"),
            ):
                connection.execute(
                    f"UPDATE {table} SET lease_until = {mark} WHERE status = '{status}' AND {since} < {mark}", times
                )
            # A claim on a part does not say since when; the others' are renewed in time, or taken over as well.
            soon = self._as_time(self.struck_at + timedelta(seconds=30))
            connection.execute(
                f"UPDATE portal_partclaim SET lease_until = {mark} WHERE lease_until < {mark}", [times[0], soon]
            )
            connection.commit()

    def rows(self, query):
        """Return the rows of a query."""
        with self._connect() as (connection, _):
            return connection.execute(query).fetchall()

    @property
    def storage(self):
        """The folder of the bytes."""
        return self.data_dir / "storage"

    def _process(self, name):
        return self.processes[(SERVER, WORKER).index(name)]

    def _connect(self):
        return open_database(self.database_url)

    def _as_time(self, moment):
        # Django keeps times as text on SQLite, without their zone.
        is_text = self.database_url.startswith("sqlite:")
        return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if is_text else moment
