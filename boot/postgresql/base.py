"""Django's PostgreSQL backend, with an end to waiting for a database that is frozen while its machine answers.

Keepalives and `tcp_user_timeout` (boot/settings.py) find out about a machine that is gone. A PostgreSQL that is
stopped, hangs in its disk, or waits for a lock that nobody lets go looks to them like one that thinks.
"""

import logging

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

logger = logging.getLogger("portal.database")

#: A connection that has lain idle is asked one word before it is used again.
HEALTH_SECONDS = 5.0
#: The database is asked to drop a statement that was given up; one that is frozen will not hear it.
CANCEL_SECONDS = 1.0


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL. With ANSWER_SECONDS in its entry of DATABASES no statement is waited for longer.

    The connection is closed then, and OperationalError is raised, as where a connection is lost: a COMMIT may have come
    through. Any other statement is cancelled too, so that those that wait for a lock do not add up. A COMMIT is not:
    one that waits for its standby would end as if it were safe. (A lone statement that commits by itself is.)
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._seconds = self.settings_dict.get("ANSWER_SECONDS")
        self._committing = False

    def get_new_connection(self, conn_params):
        """Return a new connection of psycopg."""
        connection = super().get_new_connection(conn_params)
        wait = connection.wait

        def wait_so_long(*arguments, **options):
            try:
                return wait(*arguments, **{"timeout": self._seconds} | options)
            except psycopg.OperationalError:
                if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    self._give_up(connection)
                raise

        connection.wait = wait_so_long
        return connection

    def _commit(self):
        self._committing = True
        try:
            return super()._commit()
        finally:
            self._committing = False

    def _give_up(self, connection):
        try:
            if not self._committing:
                connection.cancel_safe(timeout=CANCEL_SECONDS)
        except Exception as error:  # noqa: BLE001 - the connection is closed whatever came of it
            logger.warning("a statement that was given up is not cancelled: %s", error)
        finally:
            connection.pgconn.finish()

    def is_usable(self):
        """Return whether the database answers a word, within HEALTH_SECONDS."""
        usual, self._seconds = self._seconds, HEALTH_SECONDS
        try:
            return super().is_usable()
        finally:
            self._seconds = usual
