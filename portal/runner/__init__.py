"""Runners: who is told of events, and how. They know messages and addresses; no models, no users."""
