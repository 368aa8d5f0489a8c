"""What does a checkpoint say for itself when a single bit of it has changed? 200 flips, four kinds of agent.

    python examples/benchmarks/bit_flips.py                       # about a minute
    python examples/benchmarks/bit_flips.py --flips 40

Each flip is of one bit, drawn evenly over the whole file. It "changes a number" where `torch.load` alone reads another
state than before, or none; such a file must be refused by `GIO.load`. One that is not refused must hold the same state.
"""

import argparse
import io
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from survival import differences

from gio_pyro import GIO
from gio_pyro.checkpointing import file_format
from gio_pyro.errors import CheckpointError

SMALL: Mapping[str, Any] = MappingProxyType({"hidden": (8,), "learning_starts": 50, "batch_size": 16})
AGENTS: Mapping[str, Callable[[], GIO]] = MappingProxyType(
    {
        "tables": lambda: GIO("FrozenLake-v1"),
        "networks, finite actions": lambda: GIO("CartPole-v1", **SMALL),
        "networks, continuous actions": lambda: GIO("Pendulum-v1", temperature="auto", **SMALL),
        "with a signal": lambda: GIO("CartPole-v1", signal="RandomNetworkDistillation", **SMALL),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Flip, print the table; the exit status is 1 where fewer than 95 % of the changes are refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=200, help="over all agents")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"{'agent':30} {'bytes':>8} {'flips':>6} {'change a number':>16} {'refused':>8}")
    changed = refused = 0
    for place, (name, make) in enumerate(AGENTS.items()):
        count = given.flips // len(AGENTS) + (place < given.flips % len(AGENTS))
        with tempfile.TemporaryDirectory() as folder:
            make().learn(200).save(folder)
            found = flipped(Path(folder) / file_format.NAME, count, random.Random(f"{name} {given.seed}"))
            size = (Path(folder) / file_format.NAME).stat().st_size
        changed, refused = changed + found[0], refused + found[1]
        print(f"{name:30} {size:8,} {count:6} {found[0]:16} {found[1]:8}", flush=True)
    print(f"refused: {refused} of {changed}, {refused / max(changed, 1):.1%}")
    return int(refused < 0.95 * changed)


def flipped(path: Path, count: int, positions: random.Random) -> tuple[int, int]:
    """Flip `count` bits, one at a time; returns how many changed a number, and how many of these were refused."""
    whole, state = path.read_bytes(), file_format.read(path)
    changed = refused = 0
    for _ in range(count):
        bit = positions.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        if not is_same(damaged, state):
            changed += 1
            refused += is_refused(path)
    path.write_bytes(whole)
    return changed, refused


def is_same(content: bytes, state: dict[str, Any]) -> bool:
    """Whether torch reads the state from these bytes, unchanged."""
    try:
        return differences(torch.load(io.BytesIO(content), weights_only=True), state) == []
    except Exception:
        return False


def is_refused(path: Path) -> bool:
    """Whether an agent refuses to be loaded from a file."""
    try:
        GIO.load(path)
    except CheckpointError:
        return True
    return False


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
