"""`manage.py list_tokens`: who holds which tokens."""

from django.core.management.base import BaseCommand, CommandError

from portal.exceptions import NotFound
from portal.services.accounts import find_user
from portal.services.tokens import list_tokens

COLUMNS = "{prefix:<12} {state:<8} {user:<20} {scopes:<28} {expires:<21} {id}  {name}"


class Command(BaseCommand):
    """One line a token; the tokens themselves are not kept anywhere."""

    help = "List tokens: prefix, state, user, scopes, expiry, id and name. The tokens themselves are not kept."

    def add_arguments(self, parser):
        parser.add_argument("username", nargs="?", help="only those of this user")
        parser.add_argument("--all", dest="with_ended", action="store_true", help="revoked and expired ones too")

    def handle(self, *args, username, with_ended, **options):
        try:
            username and find_user(username)
        except NotFound as error:
            raise CommandError(error.detail) from error
        self.stdout.write(
            COLUMNS.format(
                prefix="PREFIX", state="STATE", user="USER", scopes="SCOPES", expires="EXPIRES", id="ID", name="NAME"
            ).rstrip()
        )
        for row in list_tokens(username=username, with_ended=with_ended):
            expires = f"{row.expires_at:%Y-%m-%dT%H:%M:%SZ}" if row.expires_at else "never"
            line = COLUMNS.format(
                prefix=row.prefix,
                state=row.state,
                user=row.user.get_username(),
                scopes=",".join(row.scopes),
                expires=expires,
                id=row.pk,
                name=row.name,
            )
            self.stdout.write(line.rstrip())
