"""The command line."""

INTERRUPTED, LEFT = 130, 141
"""Exit statuses of a Ctrl-C, and of a reader who left before the end, as a shell gives them."""
