"""Check free memory before large allocations, and turn out-of-memory errors into one sentence."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gio_pyro.errors import InputError

MIN_CHECKED = 2**26
"""Bytes below which free memory is not checked, as a check takes a fraction of a millisecond."""
MIN_SIZED_BUILD = 2**28
"""Bytes of one tensor from which the whole object is sized, too."""
COPIES_PER_PARAMETER = 4
"""Copies of each trained parameter: value, gradient and the two moments of Adam."""
REDUCE_ADVICE = "lower hidden, batch_size or buffer_size, or wrap the environment to show less"
"""Advice for less memory."""
FACTORIES: frozenset[Callable[..., Any]] = frozenset((torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn))
"""Functions that allocate tensors of a given size."""
METHODS: frozenset[Callable[..., Any]] = frozenset(
    (torch.Tensor.new_zeros, torch.Tensor.new_empty, torch.Tensor.new_ones)
)


_SIZING: ContextVar[bool] = ContextVar("gio_pyro_sizing", default=False)
"""Whether `required_bytes` is running, whose meta tensors need no check."""


def free_bytes(device: torch.device | str = "cpu") -> float:
    """Return the free memory of a device, bytes; infinity if unknown.

    On the host it is the kernel's MemAvailable, or what is left to the process's control group if that is less.
    """
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return min(_host_free_bytes(), *(_group_free_bytes(*files) for files in _control_groups()))


def format_bytes(count: float) -> str:
    """Return a number of bytes as text, such as 393 GB."""
    if count < 1000:
        return f"{count:.0f} B"
    power = min(int(math.log10(count) // 3), 6)
    return f"{count / 1000**power:,.3g} {('kB', 'MB', 'GB', 'TB', 'PB', 'EB')[power - 1]}"


def require_memory(needed: float, what: str, advice: str, device: torch.device | str = "cpu") -> None:
    """Raise `InputError` if a device has less than `needed` bytes free; it names `what` needs them and the advice."""
    if needed >= MIN_CHECKED and needed > (free := free_bytes(device)):
        raise InputError(
            f"Expected {format_bytes(needed)} of memory for {what}, but {format_bytes(free)} is free on {device}; "
            f"{advice}."
        )


class MemoryCheck(TorchFunctionMode):
    """Raise `InputError` for tensors that do not fit the device, inside the block, before they are allocated.

    Args:
        what: the object being built, for the message.
        advice: what to do, for the message.
        device: of the tensors.
        build: builds the whole object; if one tensor is large, it is called on torch's meta device, so that the check
            covers all parts together and what training adds.
    """

    def __init__(
        self,
        what: str,
        advice: str,
        device: torch.device | str = "cpu",
        build: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self.what, self.advice, self.device, self.build = what, advice, device, build

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Check the size of a tensor that is about to be allocated."""
        given = kwargs or {}
        if func in FACTORIES or func in METHODS:
            numbers = _requested_elements(args if func in FACTORIES else args[1:], given)
            needed = numbers * (given.get("dtype") or torch.get_default_dtype()).itemsize
            if needed >= MIN_SIZED_BUILD and self.build is not None and not _SIZING.get():
                build, self.build = self.build, None
                needed = max(needed, required_bytes(build))
            if needed >= MIN_CHECKED and not _SIZING.get():
                require_memory(needed, self.what, self.advice, self.device)
        return func(*args, **given)


def required_bytes(build: Callable[[], object]) -> int:
    """Return the bytes for training the module that `build` makes; 0 if it cannot be built on the meta device."""
    token = _SIZING.set(True)
    try:
        with torch.device("meta"):
            built = build()
    except Exception:  # a constructor may read values, which meta tensors do not have
        return 0
    finally:
        _SIZING.reset(token)
    if not isinstance(built, nn.Module):
        return 0
    trained = sum(parameter.nbytes for parameter in built.parameters() if parameter.requires_grad)
    everything = sum(tensor.nbytes for tensor in (*built.parameters(), *built.buffers()))
    return everything + (COPIES_PER_PARAMETER - 1) * trained


@contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Turn out-of-memory errors of torch, NumPy and Python into an `InputError`, with the bytes if known."""
    try:
        yield
    except Exception as error:
        if (lack := as_memory_error(error, advice)) is not None:
            raise lack from error
        raise


def as_memory_error(error: BaseException | None, advice: str) -> InputError | None:
    """Return an `InputError` if an error or one of its causes is out-of-memory, else None."""
    while error is not None:
        text = " ".join(str(error).split())
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
            match = re.search(r"(?:allocate|tried to allocate) ([\d.]+ ?\w*i?B|\d+ bytes)", text)
            size = match.group(1) if match else "more memory than there is"
            return InputError(f"Expected {_format_size(size)} of memory, but they are not free; {advice}.")
        error = error.__cause__
    return None


def _format_size(size: str) -> str:
    number, _, unit = size.partition(" ")
    return format_bytes(float(number)) if unit == "bytes" else size


def _requested_elements(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return the number of elements requested by `zeros(2, 3)`, `zeros((2, 3))` or `zeros(size=(2, 3))`."""
    size = kwargs.get("size", args[0] if len(args) == 1 and not isinstance(args[0], int) else args)
    try:
        return math.prod(int(side) for side in size)
    except (TypeError, ValueError, RuntimeError):  # traced sizes, or an invalid call, which torch reports
        return 0


def _host_free_bytes() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        return _physical_bytes()
    return float(found)


def _physical_bytes() -> float:
    """Return the physical memory, for platforms without MemAvailable."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return math.inf


def _control_groups() -> list[tuple[Path, Path, Path, str]]:
    """Return files of this process's memory control groups: limit, use, statistics; and the key of the page cache."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    root, found = Path("/sys/fs/cgroup"), []
    for _, controllers, place in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "":
            base = root / place.lstrip("/")
            found.append((base / "memory.max", base / "memory.current", base / "memory.stat", "inactive_file"))
        elif "memory" in controllers.split(","):
            for base in (root / "memory" / place.lstrip("/"), root / "memory"):
                limit, use = base / "memory.limit_in_bytes", base / "memory.usage_in_bytes"
                found.append((limit, use, base / "memory.stat", "total_inactive_file"))
    return found


def _group_free_bytes(limit: Path, use: Path, statistics: Path, cache: str) -> float:
    try:
        most, used = limit.read_text().strip(), int(use.read_text())
        kept = [int(line.split()[1]) for line in statistics.read_text().splitlines() if line.split()[0] == cache]
        return math.inf if most == "max" else max(float(int(most) - used + sum(kept)), 0.0)
    except (OSError, ValueError, IndexError):
        return math.inf
