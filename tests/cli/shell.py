"""`gio` as a shell would run it, inside this process."""

from gio_pyro.cli.main import entry_point


def gio(*arguments: object) -> int:
    """Run one command and return its exit status."""
    try:
        return entry_point([str(argument) for argument in arguments])
    except SystemExit as leaving:  # how tyro answers a wrong flag
        return int(leaving.code or 0)


def train(*arguments: object, steps: int = 500) -> int:
    """Run `gio train` without a progress bar."""
    return gio("train", *arguments, "--steps", steps, "--quiet")
