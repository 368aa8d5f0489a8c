"""`python -m gio_pyro` is `gio`."""

import sys

from gio_pyro.cli.main import entry_point

if __name__ == "__main__":
    sys.exit(entry_point())
