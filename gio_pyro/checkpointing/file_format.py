"""The file `checkpoint.pt`, tensors and plain types: written atomically, read without running code.

It is an archive of `torch.save` with a SHA-256 digest of the preceding bytes in its comment, so that any change is
detected before the file is read. An archive without a digest is verified by the checksums of its members.
"""

import hashlib
import os
import struct
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import torch

from gio_pyro.errors import CheckpointError, InputError, describe_error, out_of_memory
from gio_pyro.utils import files

NAME = "checkpoint.pt"
FORMAT, VERSION = "gio_pyro checkpoint", 6
DIGEST_MARK = b"gio_pyro sha256 "
DIGEST_COMMENT_SIZE = len(DIGEST_MARK) + hashlib.sha256().digest_size
"""Size of the archive's comment, bytes."""
ZIP_END_SIZE = 22
"""Size of the final record of an archive without a comment, bytes; the last two are the comment's length."""


def write(folder: Path, state: dict[str, Any]) -> Path:
    """Write `state` into `folder`, which is created if missing; readers see the old file or the new one.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        with ExitStack() as stack:
            file = _open_checkpoint(folder, stack)
            torch.save({"format": FORMAT, "version": VERSION, **state}, file)
            _append_digest(file)
    except (OSError, RuntimeError) as error:
        raise InputError(f"Expected to write {folder / NAME}, but: {error}; the last checkpoint is kept.") from error
    return folder / NAME


def _open_checkpoint(folder: Path, stack: ExitStack) -> BinaryIO:
    """Open the temporary file of a checkpoint, after deleting those of killed processes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.remove_unfinished(folder)
        return stack.enter_context(files.replacing(folder / NAME))
    except OSError as error:
        raise InputError(f"Expected a folder that can be written at {folder}, but: {error}.") from error


def _append_digest(file: BinaryIO) -> None:
    """Append the digest to an archive as its comment; the last two bytes before it are the comment's length."""
    file.flush()
    file.seek(-2, os.SEEK_END)
    file.write(struct.pack("<H", DIGEST_COMMENT_SIZE))
    file.seek(0)
    file.write(DIGEST_MARK + _digest(file, os.fstat(file.fileno()).st_size))


def _digest(file: BinaryIO, length: int) -> bytes:
    """Return the digest of the next `length` bytes."""
    digest = hashlib.sha256()
    while length and (block := file.read(min(length, 1 << 20))):
        digest.update(block)
        length -= len(block)
    return digest.digest()


def read(folder: Path) -> dict[str, Any]:
    """Return what `write` stored in `folder`, on the CPU.

    Raises:
        CheckpointError: no file, or one that is truncated, damaged, foreign, from another version, or asks for code to
            run.
        InputError: it does not fit into memory.
    """
    path = folder / NAME if folder.is_dir() or folder.suffix != ".pt" else folder
    if not path.is_file():
        raise CheckpointError(f"Expected a checkpoint at {path}, but there is none; give the folder of a run.")
    try:
        with path.open("rb") as file:
            _verify_digest(file)
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        if out_of_memory(error):
            raise InputError(f"Expected memory for {path}, but got {describe_error(error)}; free some.") from error
        raise CheckpointError(
            f"Expected a whole checkpoint of tensors and plain types at {path}, but it does not load; "
            "it is cut off, foreign or damaged."
        ) from error
    named = state.get("format") if isinstance(state, dict) else None
    if not isinstance(named, str) or named != FORMAT:
        raise CheckpointError(f"Expected a checkpoint of gio_pyro at {path}, but the file is of another kind.")
    version = state.get("version")
    if not isinstance(version, int) or version != VERSION:
        raise CheckpointError(
            f"Expected checkpoint version {VERSION} at {path}, but got another; use the gio_pyro it was written with."
        )
    return dict(state)


def _verify_digest(file: BinaryIO) -> None:
    """Raise `ValueError` if an archive does not match its digest, or without one, its checksums."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(size - DIGEST_COMMENT_SIZE, 0))
    seal = file.read()
    file.seek(0)
    if seal.startswith(DIGEST_MARK):
        if _digest(file, size - DIGEST_COMMENT_SIZE) != seal[len(DIGEST_MARK) :]:
            raise ValueError("the digest is another")
        return
    file.seek(max(size - ZIP_END_SIZE, 0))
    end = file.read()
    if not (end.startswith(b"PK\5\6") and end.endswith(b"\0\0")):
        raise ValueError("it does not end as an archive without a comment does: its digest was cut off or changed")
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        if archive.testzip() is not None:
            raise ValueError("a checksum is another")
