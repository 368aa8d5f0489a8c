"""Files that are there whole or not at all, and folders that one process at a time works in."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gio_pyro.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where nobody is kept out
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a file to be written, which takes the place of `path` when the block ends well.

    A reader sees the old file or the new one, and several writers do not meet.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Delete what killed writers have left in a folder that nobody else works in."""
    for stale in folder.glob("*.part"):
        stale.unlink(missing_ok=True)


def claim(folder: Path) -> int | None:
    """Keep other processes from claiming a folder, until `release`, or until this process ends, in whatever way.

    Returns a handle, None where the platform knows no such thing.

    Raises:
        InputError: another process has claimed it.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(
            f"Expected a run that nobody else is training, but another process is at work in {folder}; wait until it "
            "ends, or train a copy of the folder."
        ) from error
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    return handle


def release(handle: int | None) -> None:
    """Let others claim what `claim` returned."""
    if handle is not None:
        with suppress(OSError):
            os.close(handle)
