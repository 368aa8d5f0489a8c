"""Write files atomically, and lock folders for one process at a time."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from gio_pyro.errors import InputError, shown

try:
    import fcntl
except ImportError:  # Windows has none: nothing is locked there
    fcntl = None  # type: ignore[assignment]

UNFINISHED = re.compile(r".+\.[0-9a-f]{16}\.part")
"""Name of a temporary file of `replacing`; other files that end in .part are left alone."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file for reading and writing, which atomically replaces `path` at the end of the block.

    Readers see the old file or the new one; concurrent writers do not interfere. The temporary file is locked while it
    is written, which shows other processes that its writer is alive. If the block raises, it is deleted.
    """
    file, temporary = _open_temporary(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows cannot rename an open file
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file atomically: afterwards the disk has the old content or all of the new one.

    Raises:
        InputError: the file cannot be written, for instance because the disk is full.
    """
    try:
        with replacing(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise InputError(f"Expected to write {path}, but: {error}; make room, or take another folder.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty dictionary where the file is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def require_suffix(path: Path, suffix: str) -> None:
    """Raise `InputError` unless a file name ends in a suffix."""
    if path.suffix != suffix:
        raise InputError(f"Expected the name of a {suffix} file, but got {path.name}.")


def _open_temporary(path: Path) -> tuple[BinaryIO, Path]:
    """Create a temporary file next to `path`, with default permissions, and lock it."""
    while True:
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        file = temporary.open("x+b")
        if _lock(file) is None or _is_same_file(temporary, file):
            return file, temporary
        file.close()  # another process deleted it as unfinished before it was locked


def _lock(file: BinaryIO, *, wait: bool = True) -> bool | None:
    """Lock a file; returns whether it is locked now, None if the platform has no locks."""
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
    """Sync a folder, so that the name of a new file is on the disk, if the platform can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Delete temporary files of killed writers in a folder; those of running writers and other files stay."""
    for stale in folder.glob("*.part"):
        if UNFINISHED.fullmatch(stale.name):
            with suppress(OSError), stale.open("rb") as file:
                if _lock(file, wait=False):
                    stale.unlink(missing_ok=True)


def claim(folder: Path) -> int | None:
    """Lock a folder for this process until `release`, or until the process ends.

    Returns a handle, or None if the platform has no locks.

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
    """Release a folder locked by `claim`."""
    if handle is not None:
        with suppress(OSError):
            os.close(handle)


def folder_named(path: object) -> Path:
    """Return the path of a folder; raises `InputError` for an invalid one."""
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise InputError(f"Expected the path of a folder, but got {shown(path)}; give text or a pathlib.Path.")
    return Path(path)
