"""What planners roll out where there is a world model: one step from belief to belief."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gio_pyro.beliefs.programs import REWARD, STATE, TERMINATED, Nodes
from gio_pyro.beliefs.terms import log_marginal
from gio_pyro.beliefs.world import World, seen_in
from gio_pyro.errors import InputError
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.types import Imagined, Transitions

HALF = 0.5
"""Probability from which on a step counts as terminated where that has to be a flag."""


class WorldImagination:
    """Draws of a world model, z, then x and r, and the belief of the filter after them; r is paid by its mean given z.

    The information of a step is log p(x, r|z) − log p(x, r|b, a) of what was drawn, in expectation the mutual
    information of the planning bound (theory, section 6), too high by the bias of `log_marginal`.

    Args:
        world: the programs that beliefs are computed with.
        pay: the reward that the agent maximises.
        draws: K, draws of the prior for the marginal.
        captured: whether a step runs as a captured graph.

    Raises:
        InputError: a world model that does not sample "reward".
    """

    information_weight = 1.0
    measures = True
    inside = False

    def __init__(
        self, world: World, pay: Callable[[Transitions], Transitions], draws: int, action: Tensor, *, captured: bool
    ) -> None:
        self.world, self.pay, self.draws = world, pay, draws
        if REWARD not in world.model.run(world.before(action), action):
            raise InputError(
                f'Expected a world model that samples "reward" for a planner, but {world.model.name} does not; add the '
                "site, or take another."
            )
        progress = Progress("auto" if captured else False, captured_only=True)
        self.stepping = GraphedFunction(self._drawn, Sources([world]), progress)

    @contextmanager
    def direct(self) -> Iterator[None]:
        """Run steps as they stand, as part of a graph that is captured around them."""
        self.inside = True
        try:
            yield
        finally:
            self.inside = False

    def refresh(self) -> None:
        """Look again whether the graph of a step is up to date."""
        self.stepping.recheck()

    @torch.no_grad()
    def step(self, state: Tensor, action: Tensor) -> Imagined:
        """Return one drawn step from each belief `[M, D]`."""
        found = (self._drawn if self.inside else self.stepping)(state, action)
        reward, ended, after = found["reward"], found["ended"], found["next_state"]
        over, none = ended > HALF, torch.zeros_like(reward)
        rows = Transitions(state, action, reward, after, over, torch.zeros_like(over), none, none + 1)
        return Imagined(after, self.pay(rows).reward, ended, found["information"])

    def _drawn(self, belief: Tensor, action: Tensor) -> Figures:
        nodes = self.world.model.run(belief, action)
        seen = seen_in(nodes)
        after = self.world.filter.update(belief, action, seen)
        reward = _expected(nodes[REWARD])
        information = torch.zeros_like(reward)
        if self.measures:
            information = self.world.model.evidence(nodes, nodes[STATE]["value"]) - log_marginal(
                self.world, belief, action, seen, self.draws
            )
        return {"next_state": after, "reward": reward, "ended": _ended(nodes, reward), "information": information}


def _expected(node: Any) -> Tensor:
    """Return the mean of a reward given the state that was drawn, `[M]`, or its draw where there is no finite mean.

    Its noise would only make plans worse: nothing that is done can change it.
    """
    value: Tensor = node["value"]
    try:
        mean: Tensor = node["fn"].mean
    except NotImplementedError:
        return value
    return torch.where(mean.isfinite(), mean, value)


def _ended(nodes: Nodes, like: Tensor) -> Tensor:
    """Return the probability of termination, `[M]`; 0 where the world model does not say."""
    if TERMINATED not in nodes:
        return torch.zeros_like(like)
    node = nodes[TERMINATED]
    chance: Any = getattr(node["fn"], "probs", node["value"])
    return torch.as_tensor(chance)
