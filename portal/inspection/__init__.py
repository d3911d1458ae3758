"""What judges content before it is stored: its type by its first bytes, a scanner by all. No Django, no rows."""
