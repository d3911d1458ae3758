"""`manage.py create_token`: make an API token and print it, this once."""

import re
from argparse import BooleanOptionalAction
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError

from portal.access import SCOPES
from portal.exceptions import PortalError
from portal.services.accounts import find_or_make_user, find_user
from portal.services.tokens import create_token

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_500)


def duration(text):
    """Return `text` like 30d, 12h, 15m or 2w as a timedelta; refuses anything else, and more than a century."""
    match = re.fullmatch(r"([0-9]{1,9})([mhdw])", text)
    length = timedelta(**{UNITS[match[2]]: min(int(match[1]), 100_000_000)}) if match else timedelta(0)
    if not timedelta(0) < length <= LONGEST:
        raise CommandError(f"--expires-in takes a duration like 30d, 12h, 15m or 2w, not {text!r}.")
    return length


class Command(BaseCommand):
    """The token stands alone on the last line, for scripts."""

    help = "Make an API token of a user and print it alone. It is shown this once; only its hash is kept."

    def add_arguments(self, parser):
        parser.add_argument("username")
        parser.add_argument(
            "--create-user",
            action=BooleanOptionalAction,
            default=True,
            help="whether to make the user if there is none, without a password (yes)",
        )
        parser.add_argument(
            "--scope",
            action="append",
            choices=list(SCOPES),
            help="what it allows; give it again for more (upload, read and delete when left out)",
        )
        parser.add_argument("--expires-in", help="how long it is good for, like 30d, 12h, 15m or 2w (for ever)")
        parser.add_argument("--name", default="", help="a name to tell it apart in lists")

    def handle(self, *args, username, create_user, scope, expires_in, name, **options):
        lifetime = duration(expires_in) if expires_in else None
        try:
            user, made = find_or_make_user(username) if create_user else (find_user(username), False)
            if made:
                # On stderr: a name that was mistyped is noticed, and a script still reads the token alone.
                self.stderr.write(f"There was no user {username}: made one, without a password.")
            _, token = create_token(user, name=name, expires_in=lifetime, **({"scopes": scope} if scope else {}))
        except PortalError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(token)
