"""Files that are there whole or not at all, and folders that one process at a time works in."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gio_pyro.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where nobody is kept out
    fcntl = None  # type: ignore[assignment]

UNFINISHED = re.compile(r".+\.[0-9a-f]{16}\.part")
"""What `replacing` calls a file until it is whole; other people's files that end in .part are left alone."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file, for writing and reading, which takes the place of `path` when the block ends well.

    A reader sees the old file or the new one, and several writers do not meet. While it is written it is locked, so
    that others know that its writer is alive.
    """
    file, temporary = _open_temporary(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_file(path: Path, content: bytes | str) -> None:
    """Write a whole file in the place of `path`; what is on the disk then is what was there before, or all of it.

    Raises:
        InputError: it cannot be written, as on a full disk.
    """
    try:
        with replacing(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise InputError(f"Expected to write {path}, but: {error}; make room, or take another folder.") from error


def _open_temporary(path: Path) -> tuple[BinaryIO, Path]:
    """Make a file beside `path`, with the rights that the user gives to any file, and lock it."""
    while True:
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        file = temporary.open("x+b")
        if _lock(file) is None or _is_same_file(temporary, file):
            return file, temporary
        file.close()  # somebody took it for a dead writer's before it was locked


def _lock(file: BinaryIO, *, wait: bool = True) -> bool | None:
    """Lock a file; returns whether that could be done, None where the platform knows no such thing."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _is_same_file(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Bring the name of the new file to the disk as well, where the platform can do that to a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Delete what killed writers have left in a folder; what a living one is at stays, and so do foreign files."""
    for stale in folder.glob("*.part"):
        if UNFINISHED.fullmatch(stale.name):
            with suppress(OSError), stale.open("rb") as file:
                if _lock(file, wait=False):
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
