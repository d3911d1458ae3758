"""`manage.py revoke_token`: end a token at once."""

from django.core.management.base import BaseCommand, CommandError

from portal.services.tokens import find_tokens, revoke_tokens

NAMES = "a whole token, its id, or the prefix that list_tokens shows"


class Command(BaseCommand):
    """Takes what an operator has at hand: the token, its id, or the prefix that `list_tokens` shows."""

    help = "Revoke tokens: the next request with one is refused. Names a whole token, its id, or its shown prefix."

    def add_arguments(self, parser):
        parser.add_argument("token", nargs="+", help=NAMES)

    def handle(self, *args, token, **options):
        for text in token:
            rows = find_tokens(text)
            if not rows.exists():
                # The text may be a whole token: it is not repeated.
                raise CommandError(f"No token is named by {text[:10]}…: give {NAMES}.")
            revoked = revoke_tokens(rows)
            self.stdout.write(f"revoked={revoked}" if revoked else "revoked=0 (it was revoked before)")
