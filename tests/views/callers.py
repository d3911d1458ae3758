"""More people than ann and bob: tokens with other scopes, ended ones, and users whose lists are empty."""

import json
import secrets

from tests.api import Api

SCRIPT = """
import json, sys
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils import timezone
from portal.models import ApiToken
from portal.services.tokens import create_token, revoke_tokens
made = {{}}
for name, (username, scopes, state) in json.loads({wanted!r}).items():
    user = get_user_model().objects.get_or_create(username=username)[0]
    row, made[name] = create_token(user, scopes=scopes)
    if state == "revoked":
        revoke_tokens(ApiToken.objects.filter(pk=row.pk))
    if state == "expired":
        ApiToken.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    if state == "inactive":
        get_user_model().objects.filter(pk=user.pk).update(is_active=False)
print(json.dumps(made))
"""
ALL = ("upload", "read", "delete")


def make_callers(server, **wanted):
    """Return an Api for each name; wanted is `(username, scopes, state)`, state being active, revoked, expired, …"""
    text = server.command("shell", "--no-imports", "-c", SCRIPT.format(wanted=json.dumps(wanted)))
    return {name: Api(server.url, token) for name, token in json.loads(text.splitlines()[-1]).items()}


def new_name(start="carol"):
    """Return a user name that nobody has yet."""
    return f"{start}-{secrets.token_hex(4)}"
