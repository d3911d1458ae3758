"""The byte door: parts come in and content goes out over raw ASGI, past Django's request but under its rules."""
