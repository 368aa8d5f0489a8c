"""The command line."""

BROKEN_PIPE = 141
"""Exit status where the reader of standard output is gone: 128 and the number of SIGPIPE, as in a shell."""
