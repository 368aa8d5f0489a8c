"""One file, `checkpoint.pt`, of tensors and plain types: written atomically, read without running code."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from gio_pyro.errors import CheckpointError, InputError

NAME = "checkpoint.pt"
FORMAT, VERSION = "gio_pyro checkpoint", 6


def folder_named(path: object) -> Path:
    """Return a folder's path; raises `InputError` for what cannot name one."""
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise InputError(f"Expected the path of a folder, but got {path!r}; give text or a pathlib.Path.")
    return Path(path)


def write(folder: Path, state: dict[str, Any]) -> Path:
    """Write `state` into `folder`, creating it; a reader sees the old file or the new one, never a part.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(f"{NAME}*.part"):  # what a killed process did not finish
            stale.unlink()
        temporary = folder / f"{NAME}.{secrets.token_hex(8)}.part"
        file = temporary.open("xb")  # with the rights that the user gives to any file
    except OSError as error:
        raise InputError(f"Expected a folder that can be written at {folder}, but: {error}.") from error
    try:
        with file:
            torch.save({"format": FORMAT, "version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / NAME)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError | RuntimeError):
            raise InputError(
                f"Expected to write {folder / NAME}, but: {error}; the last checkpoint is kept."
            ) from error
        raise
    _settle(folder)
    return folder / NAME


def _settle(folder: Path) -> None:
    """Bring the name of the new file to the disk as well, where the platform can do that to a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(folder: Path) -> dict[str, Any]:
    """Return what `write` stored in `folder`, on the CPU.

    Raises:
        CheckpointError: no file, or one that is truncated, foreign, from another version, or asks for code to run.
    """
    path = folder / NAME if folder.is_dir() or folder.suffix != ".pt" else folder
    if not path.is_file():
        raise CheckpointError(f"Expected a checkpoint at {path}, but there is none; give the folder of a run.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
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
