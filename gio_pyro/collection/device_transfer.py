"""What the environment gave, on its way to the device in one piece."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

ALIGNMENT = 16
"""Each array starts at a multiple of this many bytes, so that it can be read back by its own dtype."""


def to_device(arrays: dict[str, Array], device: torch.device) -> dict[str, Tensor]:
    """Return the arrays as tensors on the device, none of them sharing memory with what was given.

    To a GPU they go in one copy that does not wait: what a step gives is many small arrays, and each copy has its cost.
    """
    if device.type == "cpu":
        return {name: torch.from_numpy(np.ascontiguousarray(array)).clone() for name, array in arrays.items()}
    packed = pack(arrays, pin=device.type == "cuda")
    return unpack(packed.to(device, non_blocking=True), arrays)


def pack(arrays: dict[str, Array], *, pin: bool = False) -> Tensor:
    """Return all bytes in one uint8 tensor, in pinned memory if asked for."""
    starts, size = _layout(arrays)
    buffer = torch.empty(size, dtype=torch.uint8, pin_memory=pin)
    view = buffer.numpy()
    for start, array in zip(starts, arrays.values(), strict=True):
        view[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return buffer


def unpack(buffer: Tensor, like: dict[str, Array]) -> dict[str, Tensor]:
    """Return views of what `pack` made of arrays of these shapes and dtypes."""
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
