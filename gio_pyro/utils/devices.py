"""Devices by name."""

import torch

from gio_pyro.errors import InputError, shown


def device_from_name(name: str) -> torch.device:
    """Return a device; "auto" is the first GPU if there is one, else the CPU.

    Raises:
        InputError: an unavailable device or another kind than "cpu" and "cuda".
    """
    if isinstance(name, str) and name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.empty(0, device=name).device
    except Exception as error:  # torch raises several kinds for an invalid device
        raise _unavailable(name) from error
    if device.type not in ("cpu", "cuda"):
        raise _unavailable(name)
    return device


def _unavailable(name: object) -> InputError:
    here = [*(f"cuda:{number}" for number in range(torch.cuda.device_count())), "cpu"]
    return InputError(
        f"Expected a device that is here, {' or '.join(here)}, but got {shown(name)}; auto takes the first."
    )
