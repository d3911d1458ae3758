"""Secrets sent through everything that can go wrong: none may be found afterwards."""
