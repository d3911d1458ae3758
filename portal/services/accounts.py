"""Accounts: the operator's first one, and those that tokens are made for."""

import secrets
from contextlib import suppress

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from portal.exceptions import Conflict, Invalid, NotFound


def is_text(name):
    """Whether a word of the command line is text: what is no UTF-8 comes as lone surrogates, and no database has it."""
    return name.isascii() or name.encode(errors="ignore").decode() == name


class AdminNameTaken(Conflict):
    """There is a user of that name who is no operator, and it is not for us to make one of them."""

    code = "admin_name_taken"


def ensure_admin(username="admin"):
    """Return `(user, password)`: a superuser who is there already and None, or a new one and its password.

    The password cannot be had again. Refuses with AdminNameTaken when `username` is somebody else.
    """
    users = get_user_model().objects
    admin = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if admin is not None:
        return admin, None
    if users.filter(username=username).exists():
        raise AdminNameTaken(f"The user {username} exists and is no active superuser: run manage.py createsuperuser.")
    password = secrets.token_urlsafe(15)
    return users.create_superuser(username, password=password), password


def find_user(username):
    """Return the user of that name; raises NotFound."""
    # A name of the command line that is no UTF-8 cannot be asked for.
    user = get_user_model().objects.filter(username=username).first() if is_text(username) else None
    if user is None:
        raise NotFound(f"There is no user {username}.")
    return user


def find_or_make_user(username):
    """Return `(user, made)`: the user of that name, or a new one who cannot log in with a password; raises Invalid."""
    with suppress(NotFound):
        return find_user(username), False
    user = get_user_model()(username=username)
    user.set_unusable_password()
    try:
        user.full_clean()
    except ValidationError as error:
        raise Invalid(f"Not a user name: {' '.join(error.messages)}") from error
    user.save()
    return user, True
