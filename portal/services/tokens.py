"""API tokens: make one, find its caller, revoke it."""

import contextlib
import hashlib
import secrets
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils import timezone

from portal.access import DEFAULT_SCOPES, SCOPES, Caller
from portal.exceptions import Invalid, NotAuthenticated
from portal.models import ApiToken
from portal.models.looks import once
from portal.models.tokens import FIND_CALLER, token_state
from portal.services.accounts import is_text
from portal.services.rates import take_request

#: Marks our tokens for people and for scanners of leaked secrets.
PREFIX = "ptl_"
MAX_NAME_LENGTH = 100


def create_token(user, *, name="", scopes=DEFAULT_SCOPES, expires_in=None):
    """Make a token of `user`; return `(row, token)`. The token cannot be had again: only its SHA-256 is kept."""
    if len(name) > MAX_NAME_LENGTH or not is_text(name):
        raise Invalid(f"The name of a token is text of at most {MAX_NAME_LENGTH} characters.")
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        raise Invalid(f"Unknown scope: {', '.join(sorted(unknown))}. There are: {', '.join(SCOPES)}.")
    token = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        user=user,
        name=name,
        digest=_digest(token),
        prefix=token[:10],
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=timezone.now() + expires_in if expires_in else None,
    )
    return row, token


def read_bearer(header):
    """Return the token of an Authorization header's text; refuses any other kind with NotAuthenticated."""
    kind, _, token = header.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token or " " in token:
        raise NotAuthenticated
    return token


def authenticate_token(token):
    """Return the Caller of `token`, one query; raises NotAuthenticated if it is unknown, expired or revoked.

    One that makes too many requests is RateLimited, before the database is asked.
    """
    digest = _digest(token)
    take_request(digest)
    return once(_find_caller, digest)


def _find_caller(digest):
    for scopes, expires_at, revoked_at, *who in FIND_CALLER.rows(digest=digest):
        state = token_state(expires_at, revoked_at)
        user = get_user_model().from_db(None, ("id", "username", "is_active"), who)
        if state == "revoked" or not user.is_active:
            break
        if state == "expired":
            raise NotAuthenticated("The token has expired.")
        return Caller(user=user, scopes=frozenset(scopes))
    raise NotAuthenticated


def revoke_tokens(rows):
    """Revoke the tokens of the queryset `rows` that are not revoked yet; return how many that were."""
    return rows.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())


def revoke_token(row):
    """Revoke one token; nothing happens to one that is revoked already."""
    revoke_tokens(ApiToken.objects.filter(pk=row.pk))


def list_tokens(*, username=None, with_ended=False):
    """Return the tokens, oldest first, with their users; only those that are active unless `with_ended`."""
    rows = ApiToken.objects.all() if with_ended else ApiToken.objects.active()
    if username is not None:
        rows = rows.filter(user__username=username)
    return rows.select_related("user").order_by("id")


def find_tokens(text):
    """Return the tokens that an operator may mean by `text`: a whole token, its id or its first characters."""
    if not is_text(text):
        return ApiToken.objects.none()
    # A prefix of fewer characters than are kept would revoke too much at once.
    named = Q(digest=_digest(text)) | Q(prefix=text)
    with contextlib.suppress(ValueError):
        named |= Q(pk=UUID(text))
    return ApiToken.objects.filter(named)


def _digest(token):
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
