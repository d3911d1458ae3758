"""`manage.py revoke_token` and `list_tokens`: end a token at once, and see which there are."""

from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from portal.exceptions import NotAuthenticated
from portal.models import ApiToken
from portal.services.tokens import authenticate_token, create_token
from tests.management.commands import run
from tests.samples import make_token


def is_good(token):
    """Return True when the token opens something."""
    try:
        authenticate_token(token)
    except NotAuthenticated:
        return False
    return True


@pytest.mark.parametrize("named_by", ["token", "id", "hex", "prefix"])
def test_a_token_is_revoked_by_what_one_has_at_hand(ann, named_by):
    row, token = create_token(ann.user)
    other = make_token(ann)
    text = {"token": token, "id": str(row.pk), "hex": row.pk.hex.upper(), "prefix": row.prefix}[named_by]
    assert run("revoke_token", text).strip() == "revoked=1"
    assert not is_good(token)
    assert is_good(other)


def test_several_are_revoked_at_once(ann, bob):
    tokens = [make_token(ann), make_token(bob)]
    assert run("revoke_token", *tokens).split() == ["revoked=1", "revoked=1"]
    assert not any(map(is_good, tokens))


def test_revoking_again_is_no_fault_and_keeps_the_first_time(ann):
    token = make_token(ann)
    run("revoke_token", token)
    revoked_at = ApiToken.objects.get().revoked_at
    assert "revoked=0" in run("revoke_token", token)
    assert ApiToken.objects.get().revoked_at == revoked_at


@pytest.mark.parametrize(
    "text", ["", "ptl_", "ptl_abcde", "x" * 5000, "01890000-0000-7000-8000-000000000000", "%", "*", "\udcff"]
)
def test_what_names_no_token_is_refused_and_revokes_nothing(ann, text):
    token = make_token(ann)
    with pytest.raises(CommandError, match="No token"):
        run("revoke_token", text)
    assert is_good(token)


@pytest.mark.parametrize("characters", [9, 11, 46])
def test_a_part_of_a_token_that_is_not_the_shown_prefix_is_refused_with_what_is_taken(ann, characters):
    token = make_token(ann)
    with pytest.raises(CommandError, match="a whole token, its id, or the prefix that list_tokens shows") as error:
        run("revoke_token", token[:characters])
    assert "begins" not in str(error.value)
    assert is_good(token)


def test_a_token_that_nobody_has_is_not_repeated(ann):
    token = "ptl_" + "s3cret" * 7
    with pytest.raises(CommandError) as error:
        run("revoke_token", token)
    assert token not in str(error.value)


def test_the_list_shows_who_holds_what_and_never_a_token(ann, bob):
    mine, his = create_token(ann.user, name="laptop", scopes=["read"]), create_token(bob.user)
    lines = run("list_tokens").splitlines()
    assert len(lines) == 3
    assert lines[0].split()[:3] == ["PREFIX", "STATE", "USER"]
    row, token = mine
    assert lines[1].split() == [row.prefix, "active", "ann", "read", "never", str(row.pk), "laptop"]
    assert "upload,read,delete" in lines[2]
    for _, token in (mine, his):
        assert token not in "".join(lines)
        assert ApiToken.objects.get(prefix=token[:10]).digest not in "".join(lines)


def test_the_list_can_be_of_one_user_and_leaves_out_ended_tokens_unless_asked(ann, bob):
    active, revoked, expired = (create_token(ann.user)[0] for _ in range(3))
    ApiToken.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
    ApiToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    create_token(bob.user)

    def states(*arguments):
        return [line.split()[:2] for line in run("list_tokens", *arguments).splitlines()[1:]]

    assert states("ann") == [[active.prefix, "active"]]
    assert states("ann", "--all") == [
        [active.prefix, "active"],
        [revoked.prefix, "revoked"],
        [expired.prefix, "expired"],
    ]
    assert len(states("--all")) == 4
    with pytest.raises(CommandError, match="no user nobody"):
        states("nobody")


def test_the_time_of_expiry_is_shown_in_utc(ann):
    create_token(ann.user, expires_in=timedelta(days=1))
    when = f"{ApiToken.objects.get().expires_at:%Y-%m-%dT%H:%M:%SZ}"
    assert when in run("list_tokens")
