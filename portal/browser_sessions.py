"""Django's sessions in the database, asked only for keys that Django itself could have made (SESSION_ENGINE)."""

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """A cookie may hold anything, quoted as octal even NUL, which PostgreSQL refuses with an error."""

    def _validate_session_key(self, key):
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()
