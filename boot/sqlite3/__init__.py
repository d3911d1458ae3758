"""Django's SQLite backend, with conversions that cost less."""
