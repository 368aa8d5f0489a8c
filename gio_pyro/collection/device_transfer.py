"""Move the arrays of a step to the device in one transfer."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

ALIGNMENT = 16
"""Alignment of each array in the packed buffer, bytes, as viewing it by its own dtype requires."""


def to_device(arrays: dict[str, Array], device: torch.device) -> dict[str, Tensor]:
    """Return the arrays as tensors on the device, without sharing memory with the arrays.

    To a GPU they are packed and copied once, asynchronously: one copy for each small array would be slow.

    Args:
        arrays: arrays of any shapes and dtypes by name.
        device: of the tensors.
    """
    if device.type == "cpu":
        return {name: torch.from_numpy(np.ascontiguousarray(array)).clone() for name, array in arrays.items()}
    packed = pack(arrays, pin=device.type == "cuda")
    return unpack(packed.to(device, non_blocking=True), arrays)


def pack(arrays: dict[str, Array], *, pin: bool = False) -> Tensor:
    """Return the bytes of all arrays in one uint8 tensor, in pinned memory if `pin`."""
    starts, size = _layout(arrays)
    buffer = torch.empty(size, dtype=torch.uint8, pin_memory=pin)
    view = buffer.numpy()
    for start, array in zip(starts, arrays.values(), strict=True):
        view[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return buffer


def unpack(buffer: Tensor, like: dict[str, Array]) -> dict[str, Tensor]:
    """Return views into a packed buffer, with the shapes and dtypes of the arrays `like`."""
    starts, _ = _layout(like)
    return {
        name: buffer[start : start + array.nbytes].view(_torch_dtype(array)).view(array.shape)
        for start, (name, array) in zip(starts, like.items(), strict=True)
    }


def _layout(arrays: dict[str, Array]) -> tuple[list[int], int]:
    starts, end = [], 0
    for array in arrays.values():
        starts.append(end)
        end += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return starts, end


def _torch_dtype(array: Array) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype=array.dtype)).dtype
