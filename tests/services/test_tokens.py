"""Tokens: shown once, kept as a hash, and worth nothing once they have expired, are revoked or their user is gone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from portal.access import DEFAULT_SCOPES, READ, SERVICE, UPLOAD
from portal.exceptions import Invalid, NotAuthenticated
from portal.models import ApiToken
from portal.services.tokens import (
    authenticate_token,
    create_token,
    find_tokens,
    list_tokens,
    read_bearer,
    revoke_tokens,
)
from tests.services.situations import seen_queries, set_columns


def test_a_token_opens_what_its_scopes_say(ann):
    row, token = create_token(ann.user, name="laptop", scopes=[READ, UPLOAD])
    caller = authenticate_token(token)
    assert (caller.user, caller.scopes) == (ann.user, {READ, UPLOAD})
    assert (row.name, row.scopes, row.state) == ("laptop", [UPLOAD, READ], "active")


def test_a_token_has_the_scopes_of_people_unless_told_otherwise_and_never_service(ann):
    _, token = create_token(ann.user)
    assert authenticate_token(token).scopes == set(DEFAULT_SCOPES)
    assert SERVICE not in DEFAULT_SCOPES


def test_nothing_that_is_kept_gives_the_token_away(ann):
    row, token = create_token(ann.user)
    kept = [str(value) for value in ApiToken.objects.values_list().get()]
    assert all(token not in value and token[len(row.prefix) :] not in value for value in kept)
    assert token.startswith(row.prefix)
    assert len(token) > 40


def test_every_token_is_another(ann):
    assert len({create_token(ann.user)[1] for _ in range(20)}) == 20


def test_a_scope_that_there_is_not_is_refused(ann):
    with pytest.raises(Invalid):
        create_token(ann.user, scopes=[READ, "everything"])
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("token", ["", "ptl_", "ptl_unknown", "\x00", "\ud800", "é", "x" * 10_000])
def test_what_is_no_token_opens_nothing(db, token):
    with pytest.raises(NotAuthenticated):
        authenticate_token(token)


def test_an_expired_token_opens_nothing(ann):
    row, token = create_token(ann.user, expires_in=timedelta(days=1))
    assert authenticate_token(token)
    set_columns(row, expires_at=timezone.now())
    with pytest.raises(NotAuthenticated):
        authenticate_token(token)
    assert ApiToken.objects.get().state == "expired"


def test_a_revoked_token_opens_nothing_and_is_revoked_once(ann):
    row, token = create_token(ann.user)
    assert revoke_tokens(ApiToken.objects.filter(pk=row.pk)) == 1
    revoked_at = ApiToken.objects.get().revoked_at
    with pytest.raises(NotAuthenticated):
        authenticate_token(token)
    assert revoke_tokens(ApiToken.objects.all()) == 0
    assert ApiToken.objects.get().revoked_at == revoked_at
    assert ApiToken.objects.get().state == "revoked"


def test_a_token_of_a_user_who_was_shut_out_opens_nothing(ann):
    _, token = create_token(ann.user)
    set_columns(ann.user, is_active=False)
    with pytest.raises(NotAuthenticated):
        authenticate_token(token)


def test_asking_for_the_caller_of_a_token_takes_one_query(ann):
    _, token = create_token(ann.user)
    with seen_queries() as queries:
        assert authenticate_token(token).user.username == "ann"
    assert len(queries) == 1


def test_active_tokens_are_listed_oldest_first_and_ended_ones_on_demand(ann, bob):
    first, second = create_token(ann.user)[0], create_token(bob.user)[0]
    expired = create_token(ann.user, expires_in=timedelta(days=1))[0]
    set_columns(expired, expires_at=timezone.now() - timedelta(seconds=1))
    revoked = create_token(ann.user)[0]
    revoke_tokens(ApiToken.objects.filter(pk=revoked.pk))
    assert list(list_tokens()) == [first, second]
    assert list(list_tokens(username="ann")) == [first]
    assert list(list_tokens(username="ann", with_ended=True)) == [first, expired, revoked]
    assert list(list_tokens(username="nobody")) == []


def test_a_token_is_found_by_itself_its_id_or_its_first_characters(ann):
    row, token = create_token(ann.user)
    create_token(ann.user)
    for text in (token, str(row.pk), row.prefix):
        assert list(find_tokens(text)) == [row]
    for text in ("", "ptl_", token[:-1], row.prefix[:-1], "ann"):
        assert list(find_tokens(text)) == []


@pytest.mark.parametrize("header", ["Bearer ptl_x", "bearer ptl_x", "BEARER  ptl_x "])
def test_a_bearer_header_gives_its_token(header):
    assert read_bearer(header) == "ptl_x"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic ptl_x", "ptl_x", "Bearer a b"])
def test_any_other_header_gives_none(header):
    with pytest.raises(NotAuthenticated):
        read_bearer(header)
