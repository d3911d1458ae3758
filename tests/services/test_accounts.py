"""Accounts: the operator's first one is made once, and nobody is made an operator by accident."""

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.test import RequestFactory

from portal.exceptions import Invalid, NotFound
from portal.services.accounts import AdminNameTaken, ensure_admin, find_or_make_user, find_user
from tests.services.situations import set_columns

USERS = get_user_model().objects


def test_the_first_operator_is_made_with_a_password_that_works(db):
    user, password = ensure_admin()
    assert (user.username, user.is_superuser, user.is_staff) == ("admin", True, True)
    assert authenticate(RequestFactory().post("/login"), username="admin", password=password) == user
    assert len(password) >= 20


def test_an_operator_who_is_there_keeps_the_password(db):
    user, _ = ensure_admin()
    assert ensure_admin() == (user, None)
    assert USERS.count() == 1


def test_an_operator_of_another_name_is_enough(db):
    root = USERS.create_superuser("root")
    assert ensure_admin() == (root, None)


def test_a_user_of_the_name_is_not_made_an_operator(db):
    user = USERS.create_user("admin")
    with pytest.raises(AdminNameTaken):
        ensure_admin()
    user.refresh_from_db()
    assert not user.is_superuser


def test_an_operator_who_was_shut_out_is_not_let_in_again(db):
    user, _ = ensure_admin()
    set_columns(user, is_active=False)
    with pytest.raises(AdminNameTaken):
        ensure_admin()
    user.refresh_from_db()
    assert not user.is_active


def test_a_user_is_found_by_name(ann):
    assert find_user("ann") == ann.user


def test_a_user_who_is_not_there_is_made_only_when_asked_for(db):
    with pytest.raises(NotFound):
        find_user("ann")
    assert not USERS.exists()
    user, made = find_or_make_user("ann")
    assert made
    assert USERS.get() == user
    assert (user.has_usable_password(), user.is_staff, user.is_superuser) == (False, False, False)
    assert find_or_make_user("ann") == (user, False)
    assert find_user("ann") == user


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 151, "a/b"])
def test_what_is_no_user_name_is_refused(db, name):
    with pytest.raises(Invalid):
        find_or_make_user(name)
    assert not USERS.exists()
