"""World models and filters: Pyro programs of one step of an episode, and how the engine runs them.

    world_model(belief, action, seen=None)   samples "state" from the belief before and the action, then "observation",
                                             and after an action "reward" and "terminated", given the state
    filter(belief, action, seen)             samples "state" given also what was seen; returns the belief after

A belief is a tensor `[B, D]`, D the attribute `belief_size` of the world model. At the first step of an episode the
action is None, the belief is 0, and there is neither a reward nor a termination. "reward" and "terminated" may be left
out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from torch import Tensor

from gio_pyro.errors import ProgramError, shown
from gio_pyro.programs import Program
from gio_pyro.programs.sites import is_plate
from gio_pyro.types import Seen

STATE, OBSERVATION, REWARD, TERMINATED = "state", "observation", "reward", "terminated"
EVIDENCE = (OBSERVATION, REWARD, TERMINATED)
"""The sites of what is seen."""

Nodes = Mapping[str, Mapping[str, Any]]
"""The sample sites of a run, by name."""


class WorldModel(Program):
    """A program p(z, x, r|belief, a)."""

    sites = (STATE, *EVIDENCE)
    optional_sites = (REWARD, TERMINATED)

    @property
    def belief_size(self) -> int:
        """D; raises `ProgramError` where the program does not say."""
        size = getattr(self.program, "belief_size", None)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ProgramError(
                f"Expected {self.name} to set belief_size, how many numbers a belief has, but got {shown(size)}; set "
                "it in __init__."
            )
        return size

    def run(
        self, belief: Tensor, action: Tensor | None, seen: Seen | None = None, state: Tensor | None = None
    ) -> Nodes:
        """Return the sites of one step, given what was seen and the state `[B, ...]`, where these are given."""
        given = {} if state is None else {STATE: state}
        return run_sites(self, poutine.condition(self.program, given) if given else self.program, belief, action, seen)

    def evidence(self, nodes: Nodes, like: Tensor) -> Tensor:
        """Return log p(x, r|z) of a run, summed over its sites, `[B]` nats."""
        found = [nodes[name]["fn"].log_prob(nodes[name]["value"]) for name in EVIDENCE if name in nodes]
        return torch.stack(found).sum(0) if found else torch.zeros(len(like)).to(like)

    def log_marginal(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor | None:
        """Return log p(x, r|belief, a), `[B]` nats, by the program's method of this name; None where it has none."""
        method = getattr(self.program, "log_marginal", None)
        if method is None:
            return None
        found: Tensor | None = self.isolated(method, belief, action, seen)
        return found


class Filter(Program):
    """A program q(z|belief, a, x, r) that returns the belief after."""

    sites = (STATE,)

    def update(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Return the belief after, `[B, D]`."""
        with poutine.block():
            found: Tensor = self(belief, action, seen)
        return found

    def run(self, belief: Tensor, action: Tensor | None, seen: Seen) -> tuple[Nodes, Tensor]:
        """Return the sites of one step, and the belief after `[B, D]`."""
        after: list[Tensor] = []

        def program(*given: Any) -> None:
            after.append(self.program(*given))

        return run_sites(self, program, belief, action, seen), after[0]


def run_sites(owner: Program, program: Any, *given: Any) -> Nodes:
    """Return the sample sites of a run of a program with the parameters of its owner."""
    with poutine.block():
        trace = owner.isolated(poutine.trace(program).get_trace, *given)
    return {name: node for name, node in trace.nodes.items() if node["type"] == "sample" and not is_plate(node)}


@dataclass(frozen=True)
class Drawn:
    """One imagined step of B worlds."""

    state: Tensor
    """z, `[B, ...]`."""
    seen: Seen
    belief: Tensor
    """The belief after, `[B, D]`."""
