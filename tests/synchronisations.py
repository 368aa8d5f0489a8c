"""Count where tensors are read on the host: on a GPU each such place waits for all work queued so far."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = (
    "_local_scalar_dense", "item", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2", "unique_dim",
    "unique_consecutive", "repeat_interleave", "bincount",
)  # fmt: skip
"""Operations whose result is read on the host, or has a shape that depends on values."""
READING = ("tolist", "item", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__contains__")
"""Methods that read values on the host, some of which are no operation where the tensor is on the CPU."""
LIBRARY = ("gio_pyro", "models", "guides")


def is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.bool, torch.uint8)


def place() -> str:
    """Where in the library the current operation was called from."""
    own = [frame for frame in traceback.extract_stack() if {*LIBRARY} & {*Path(frame.filename).parts[:-1]}]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}: {own[-1].line}" if own else "elsewhere"


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indices = args[1] if name.startswith("index") and len(args) > 1 and isinstance(args[1], list | tuple) else ()
        if name in WAITING or any(is_mask(index) for index in indices):
            self.found.append(f"aten.{name} at {place()}")
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in READING and args and isinstance(args[0], Tensor):
            self.found.append(f"Tensor.{name} at {place()}")
        return func(*args, **(kwargs or {}))


@contextmanager
def synchronisations() -> Iterator[list[str]]:
    """Collect the places inside the block where values of tensors are read on the host."""
    found: list[str] = []
    with _Operations(found), _Methods(found):
        yield found
