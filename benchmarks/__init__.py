"""How fast the portal is, as ratios against others in the same run; `python -m benchmarks --help`."""
