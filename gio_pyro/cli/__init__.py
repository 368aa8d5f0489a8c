"""The command line."""

LEFT = 141
"""Exit status where a reader left before the end, as a shell gives it."""
