"""Validate the leaves of a checkpoint: plain types and dense tensors, finite, with the types of the agent's state."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.errors import CheckpointError

PLAIN_TYPES = (bool, int, float, str, type(None))
EXTRA_STATE = "_extra_state"
"""Torch's key of module state outside tensors, whose type may vary."""


def state_leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (place, leaf) for nested dictionaries, lists and tuples, with places such as `model/table`."""
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in (str, int):
                raise CheckpointError(
                    f"Expected names of text in {where or 'a checkpoint'}, but got {str(key)[:80]!r}."
                )
            yield from state_leaves(item, f"{where}/{key}" if where else str(key))
    elif type(value) in (list, tuple):
        for number, item in enumerate(value):
            yield from state_leaves(item, f"{where}/{number}")
    else:
        yield where, value


def non_finite_places(state: Mapping[str, Any]) -> frozenset[str]:
    """Return the places of NaN or infinite numbers; those of a new agent are allowed later, such as a mask of −∞."""
    return frozenset(place for place, leaf in state_leaves(dict(state)) if not _is_finite(leaf))


def require_storable(state: Mapping[str, Any], unbounded: Collection[str]) -> None:
    """Raise `CheckpointError` for leaves that a checkpoint cannot hold, and for NaN or infinite numbers.

    Args:
        state: nested tensors and plain values.
        unbounded: places that may be infinite or NaN.
    """
    for place, leaf in state_leaves(dict(state)):
        _require_plain(place, leaf)
        if place not in unbounded and not _is_finite(leaf, log=place.rpartition("/")[2].startswith("log_")):
            raise CheckpointError(
                f"Expected finite numbers, but {place[:120]} has NaN or infinity; go on from an earlier checkpoint."
            )


def require_matching_kinds(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` if a leaf of `saved` differs in type or dtype from that of the agent's `own` state."""
    theirs = dict(state_leaves(dict(saved)))
    for place, mine in state_leaves(dict(own)):
        if place not in theirs or mine is None or EXTRA_STATE in place:
            continue
        got = theirs[place]
        if isinstance(mine, Tensor) and isinstance(got, Tensor) and mine.dtype != got.dtype:
            raise CheckpointError(f"Expected {place[:80]} of {_describe_dtypes(mine.dtype, got.dtype)}.")
        if isinstance(mine, Tensor) != isinstance(got, Tensor):
            raise CheckpointError(
                f"Expected {place[:80]} to be a {type(mine).__name__}, but got a {type(got).__name__}; it is damaged."
            )


def _describe_dtypes(mine: torch.dtype, got: torch.dtype) -> str:
    text = f"{mine}, but got {got}"
    if mine.is_floating_point and got.is_floating_point:
        return f"{text}; set that default first (torch.set_default_dtype)"
    return f"{text}; it is damaged"


def _require_plain(place: str, leaf: Any) -> None:
    if isinstance(leaf, Tensor):
        if type(leaf) not in (Tensor, nn.Parameter) or leaf.layout != torch.strided or leaf.device.type == "meta":
            raise CheckpointError(
                f"Expected {place[:120]} to be an ordinary dense tensor, but got {type(leaf).__name__} of layout "
                f"{leaf.layout} on {leaf.device}; keep it as one."
            )
    elif type(leaf) not in PLAIN_TYPES:
        raise CheckpointError(
            f"Expected tensors and plain Python values, but {place[:120]} is a {type(leaf).__module__}."
            f"{type(leaf).__name__}; keep it as one of these."
        )


def _is_finite(leaf: Any, *, log: bool = False) -> bool:
    """Whether a leaf has only finite numbers; with `log`, −∞ is allowed as the logarithm of 0."""
    if isinstance(leaf, float):
        leaf = torch.tensor(leaf, dtype=torch.float64)
    if not isinstance(leaf, Tensor) or not (leaf.is_floating_point() or leaf.is_complex()):
        return True
    if leaf.layout != torch.strided or leaf.device.type == "meta":
        return True  # rejected elsewhere for its layout
    found = torch.isfinite(leaf)
    return bool((found | (leaf == -torch.inf) if log else found).all())


def check_count(value: Any, name: str) -> int:
    """Return a count; raises `CheckpointError` unless it is an integer of at least 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CheckpointError(f"Expected {name} to be a whole number of at least 0, but got {value!r}.")
    return value


def check_kind(value: Any, kind: type, name: str) -> Any:
    """Return the value; raises `CheckpointError` unless its class is `kind`."""
    if type(value) is not kind:
        raise CheckpointError(f"Expected {name} to be a {kind.__name__}, but got {str(value)[:80]}; it is damaged.")
    return value
