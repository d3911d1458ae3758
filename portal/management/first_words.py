"""What `make run` prints once the portal answers: its address, who may log in, a curl that stores a file."""

import os
import sys
from pathlib import Path

TEMPLATE = """
The portal answers at {url}

  API docs   {url}/docs
  Admin      {url}/admin/   {login}
  Token      {token}   (of {admin}, good for {days} days)

Store a file (paste this into a shell):

  URL={url} TOKEN={token}
  SESSION=$(curl -fsS "$URL/uploads/sessions" -H "Authorization: Bearer $TOKEN" \\
    -H "Content-Type: application/json" \\
    -d '{{"original_filename": "hello.txt", "content_type": "text/plain", "total_size_bytes": {size}}}' |
    sed 's/.*"session_id": *"\\([^"]*\\)".*/\\1/')
  curl -fsS -X PUT "$URL/uploads/sessions/$SESSION/parts/1" -H "Authorization: Bearer $TOKEN" \\
    -H "Content-Type: application/octet-stream" --data-binary '{body}'; echo
  curl -fsS -X POST "$URL/uploads/sessions/$SESSION/finalize" -H "Authorization: Bearer $TOKEN"; echo

Ctrl-C stops it.
"""
BODY = "Hello, portal!"


def first_words(url, *, admin, password, token, days):
    """Return the text; `password` is None when the admin was there before, for only its hash is kept."""
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else "python"
    if password:
        login = f"{admin} / {password}   (made now; keep it, it is shown this once)"
    else:
        login = f"{admin}   (password as on the first run; another: {python} manage.py changepassword {admin})"
    return TEMPLATE.format(url=url, admin=admin, login=login, token=token, days=days, body=BODY, size=len(BODY))
