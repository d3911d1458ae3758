"""`python -m portal_client` is `portal`."""

from portal_client.cli import main

main()
