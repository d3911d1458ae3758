"""`manage.py create_token`: the token alone on the last line, with the scopes and the life that were asked for."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.utils import timezone

from portal.models import ApiToken
from portal.services.tokens import authenticate_token
from tests.management.commands import run


def test_it_prints_the_token_alone(ann):
    text = run("create_token", "ann")
    assert text.count("\n") == 1
    caller = authenticate_token(text.strip())
    assert caller.user == ann.user
    assert caller.scopes == {"upload", "read", "delete"}


def test_the_token_is_kept_as_a_hash_alone(ann):
    token = run("create_token", "ann").strip()
    row = ApiToken.objects.get()
    kept = " ".join(str(value) for value in vars(row).values())
    assert token not in kept
    assert token.startswith(row.prefix)
    assert len(row.prefix) < len(token) / 2


def test_a_user_who_is_not_there_is_made_and_told_of(db):
    told = io.StringIO()
    token = run("create_token", "carol", stderr=told)
    assert token.count("\n") == 1
    assert "no user carol" in told.getvalue()
    user = get_user_model().objects.get(username="carol")
    assert authenticate_token(token.strip()).user == user
    assert not user.has_usable_password()
    assert (user.is_staff, user.is_superuser) == (False, False)
    told = io.StringIO()
    run("create_token", "carol", "--create-user", stderr=told)
    assert told.getvalue() == ""
    assert get_user_model().objects.count() == 1


def test_a_user_who_was_made_is_told_of_also_where_the_token_is_refused(db):
    told = io.StringIO()
    with pytest.raises(CommandError):
        run("create_token", "carol", "--name", "x" * 500, stderr=told)
    assert "no user carol" in told.getvalue()


def test_a_name_of_a_token_that_is_no_text_is_refused(ann):
    with pytest.raises(CommandError, match="is text"):
        run("create_token", "ann", "--name", "laptop \udcff")
    assert not ApiToken.objects.exists()
    run("create_token", "ann", "--name", "Jörgs Läptop 🙂")
    assert ApiToken.objects.get().name == "Jörgs Läptop 🙂"


def test_a_user_who_is_not_there_is_refused_where_none_is_to_be_made(db):
    with pytest.raises(CommandError, match="no user carol"):
        run("create_token", "carol", "--no-create-user")
    assert not get_user_model().objects.exists()
    run("create_token", "carol")
    assert run("create_token", "carol", "--no-create-user").count("\n") == 1


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 151, "a\nb", "<b>", "\udcff"])
def test_a_name_that_is_no_user_name_is_refused(db, name):
    with pytest.raises(CommandError):
        run("create_token", name)
    assert not get_user_model().objects.exists()


@pytest.mark.parametrize(
    ("options", "scopes"),
    [
        (["--scope", "read"], {"read"}),
        (["--scope", "service"], {"service"}),
        (["--scope", "upload", "--scope", "read"], {"upload", "read"}),
        (["--scope", "read", "--scope", "read"], {"read"}),
        (["--scope=delete", "--scope=service"], {"delete", "service"}),
    ],
)
def test_scopes_are_exactly_those_that_were_named(ann, options, scopes):
    assert authenticate_token(run("create_token", "ann", *options).strip()).scopes == scopes


def test_an_unknown_scope_is_refused(ann):
    with pytest.raises(CommandError, match="invalid choice"):
        run("create_token", "ann", "--scope", "admin")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("36500d", timedelta(days=36_500)),
        ("007d", timedelta(days=7)),
    ],
)
def test_a_life_is_counted_in_minutes_hours_days_or_weeks(ann, text, length):
    run("create_token", "ann", "--expires-in", text)
    left = ApiToken.objects.get().expires_at - timezone.now()
    assert timedelta(0) <= length - left < timedelta(minutes=1)


def test_without_a_life_it_is_good_for_ever(ann):
    run("create_token", "ann")
    assert ApiToken.objects.get().expires_at is None


@pytest.mark.parametrize(
    "text", ["0d", "30", "d", "-1d", "1.5d", "30 d", "30D", "1y", "30s", "1d1h", "36501d", "9" * 30 + "d", "٣d", "1e3d"]
)
def test_any_other_life_is_refused_with_an_example(ann, text):
    with pytest.raises(CommandError, match="30d"):
        run("create_token", "ann", f"--expires-in={text}")
    assert not ApiToken.objects.exists()


def test_a_name_tells_it_apart_in_lists(ann):
    run("create_token", "ann", "--name", "the laptop")
    assert ApiToken.objects.get().name == "the laptop"


def test_a_name_that_is_too_long_is_refused_in_one_line(ann):
    with pytest.raises(CommandError, match="100"):
        run("create_token", "ann", "--name", "x" * 101)
    assert not ApiToken.objects.exists()
