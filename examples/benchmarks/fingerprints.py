"""Fingerprints of default agents: equal ones on two checkouts mean that figures measured on one hold for the other.

    python examples/benchmarks/fingerprints.py

Each line is a hash over the parameters, the replay and the random streams of an agent after its first steps. Run it on
both checkouts on one machine: another processor rounds otherwise.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gio_pyro import GIO

AGENTS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("FrozenLake-v1", 5_000, {}),
    ("FrozenLake-v1", 3_000, {"signal": "RandomNetworkDistillation", "signal_value": True, "reward_weight": 1.0}),
    ("CliffWalking-v1", 3_000, {"guide": "MovingMarginalGuide", "greedy": True, "temperature": "loss:0.5:0.01"}),
    ("CartPole-v1", 2_000, {}),
    ("Pendulum-v1", 1_300, {}),
    ("Pendulum-v1", 1_300, {"guide": "UniformGuide"}),
)
"""Environment, steps and settings of each."""
PARTS = ("model", "guide", "actor_critic", "temperature")


def main() -> None:
    """Print a line for each agent."""
    torch.set_num_threads(1)
    for name, steps, settings in AGENTS:
        agent = GIO(name, seed=0, device="cpu", **settings).learn(steps)
        print(f"{fingerprint(agent)}  {name} {steps} {settings or ''}".rstrip(), flush=True)


def fingerprint(agent: GIO) -> str:
    """Return a hash over what the agent has learned and seen."""
    digest = hashlib.sha256()
    parts = [getattr(agent, part).state_dict() for part in PARTS]
    rows = agent.replay.all()
    seen = [rows.state, rows.action, rows.reward, rows.next_state, rows.terminated, rows.truncated, rows.log_behaviour]
    for tensor in (*tensors(parts), *seen, *tensors(agent.random.state)):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested containers, in their order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from tensors(value)


if __name__ == "__main__":
    main()
