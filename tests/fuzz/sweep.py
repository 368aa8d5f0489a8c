"""The whole sweep, its failures listed: `python -m tests.fuzz.sweep [PART...]`."""

import sys

from gio_pyro import GIO

from .agents import Coin
from .harness import little_memory, trials
from .test_fuzz import PARTS

if __name__ == "__main__":
    GIO(Coin())  # what is imported at the first agent does not count
    for part in sys.argv[1:] or PARTS:
        with little_memory():
            failures = [*trials(PARTS[part][1], 1)]
        print(*failures, f"{part}: {len(failures)} calls do not end in a sentence", sep="\n")
