"""Question 0: x."""
