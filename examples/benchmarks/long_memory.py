"""A recurrent filter for evidence that lies long ago."""

from gio_pyro.guides import RecurrentFilter


class LongMemory(RecurrentFilter):
    """Begins with units that keep what they saw for up to 100 steps."""

    longest = 100.0
