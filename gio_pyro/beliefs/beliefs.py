"""Beliefs of a world model's filter as the states of an agent: kept while it acts, recomputed where it learns."""

from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.beliefs.behaviour import BelievingBehaviour, RunningBelief
from gio_pyro.beliefs.bound import mean_field_bound
from gio_pyro.beliefs.observed import Observed
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.replay import BelievedReplay
from gio_pyro.beliefs.world import World
from gio_pyro.collection import Behaviour
from gio_pyro.collection.choosing import Memory
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.inference import Optim
from gio_pyro.nn.gradient_step import Descent, Figures
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.programs import fitting, without_validation
from gio_pyro.settings import Settings
from gio_pyro.types import Seen, Transitions


class Beliefs(Observed):
    """The beliefs of a filter, and how it and its world model are fitted.

    Args:
        world: the pair of programs.
        settings: `burn_in`, `piece_length`, `pieces`, `learning_rate` and `compile`.
        observation: an example of what is seen in N environments, `[N, ...]`.
        action: an example of the site "action" in each, `[N, ...]`.
    """

    learns = True

    def __init__(self, world: World, settings: Settings, observation: Tensor, action: Tensor) -> None:
        super().__init__()
        self.world, self.settings = world, settings
        self.running = RunningBelief(world.before(observation), action)
        rated = [
            (own, program.learning_rate or settings.learning_rate)
            for program in world.programs
            if (own := _trained(program))
        ]
        if rated:
            self.optimisers["world"] = Optim().build(rated)
        self.descent = Descent("world", self._loss, self.optimisers.get("world"))
        sources = Sources([world], list(self.optimisers.values()))
        self.progress = Progress(settings.compile)
        reading = Progress(False if settings.compile is False else "auto", captured_only=True)
        self.fitted = GraphedFunction(self._fit, sources, self.progress)
        self.followed = GraphedFunction(self._along, sources, reading)
        self.stepped = GraphedFunction(self._step, sources, reading)

    @property
    def names(self) -> dict[str, str]:
        """Names of the programs by kind."""
        return {"world_model": self.world.model.name, "filter": self.world.filter.name}

    def space(self, observations: Space[Any]) -> Space[Any]:
        """Return the space of beliefs."""
        return Box(-np.inf, np.inf, (self.world.size,), np.float32)

    def replay(self, capacity: int, images: int | None) -> BelievedReplay:
        """Return a replay of what is seen that is read as beliefs."""
        return BelievedReplay(Replay(capacity, images, histories=True), self.along, self.settings.burn_in)

    # acting

    def behaviour(self, inner: Behaviour) -> Behaviour:
        """Return what collects, given what acts on beliefs."""
        acting: Behaviour = BelievingBehaviour(inner, self.running, self.updated)
        return acting

    def elsewhere(self, inner: Behaviour, environments: int) -> Behaviour:
        """Return what acts in as many other environments, whose beliefs are their own."""
        like = (one[:1].expand(environments, *one.shape[1:]) for one in (self.running.belief, self.running.action))
        acting: Behaviour = BelievingBehaviour(inner, RunningBelief(*like), lambda *seen: self._step(*seen)["belief"])
        return acting

    def updated(self, begins: Tensor, belief: Tensor, action: Tensor, reward: Tensor, observation: Tensor) -> Tensor:
        """Return the belief in each of N environments after what is seen now, `[N, D]`."""
        return self.stepped(begins, belief, action, reward, observation)["belief"]

    def _step(self, begins: Tensor, belief: Tensor, action: Tensor, reward: Tensor, observation: Tensor) -> Figures:
        seen = Seen(observation, reward, torch.zeros_like(begins))
        first, later = self.world.begin(observation), self.world.update(belief, action, seen)
        return {"belief": torch.where(begins.unsqueeze(-1), first, later)}

    def recall(self, seen: Tensor, memory: Memory, begins: Array | None) -> Tensor:
        """Return the beliefs in N episodes, `[N, D]`, from what is seen now and what `remember` returned.

        Raises:
            InputError: a memory of another shape.
        """
        count, now = len(seen), self.running
        width = now.belief.shape[1] + now.action[0].numel()
        if memory is None:
            belief, action = self.world.before(seen), now.action[:1].expand(count, *now.action.shape[1:])
        else:
            kept = torch.as_tensor(np.asarray(memory), dtype=torch.get_default_dtype(), device=seen.device)
            if kept.shape != (count, width):
                raise InputError(
                    f"Expected the state that predict returned for {count} observations, {(count, width)}, but got "
                    f" {tuple(kept.shape)}; pass it on as it is, or None where episodes begin."
                )
            belief, done = kept.split([now.belief.shape[1], width - now.belief.shape[1]], 1)
            action = done.reshape(count, *now.action.shape[1:]).to(now.action.dtype)
        first = torch.as_tensor(np.full(count, memory is None) if begins is None else begins, device=seen.device)
        later = Seen(seen, None, torch.zeros_like(first))
        found = torch.where(first.unsqueeze(-1), self.world.begin(seen), self.world.update(belief, action, later))
        return torch.where(found.isfinite().all(-1, keepdim=True), found, 0.0)

    def remember(self, state: Tensor, action: Tensor) -> Array:
        """Return beliefs and actions of N episodes, `[N, M]`."""
        kept: Array = torch.cat([state, action.reshape(len(state), -1).to(state)], 1).cpu().numpy()
        return kept

    # reading

    @torch.no_grad()
    def along(self, piece: Piece) -> Tensor:
        """Return the beliefs at the instants of pieces of episodes, `[B, T + 1, D]`; one that is not finite is 0."""
        with without_validation():  # a graph may be captured here
            return self.followed(*piece.tensors())["beliefs"]

    def _along(self, *piece: Tensor) -> Figures:
        found = self.world.along(Piece(*piece))
        return {"beliefs": torch.where(found.isfinite().all(-1, keepdim=True), found, 0.0)}

    # learning

    def observe(self, rows: Transitions) -> None:
        """Update input statistics with new transitions of what was seen."""
        self.world.observe(rows)
        for function in (self.fitted, self.followed, self.stepped):
            function.recheck()

    def update(self, replay: BelievedReplay, steps: int) -> Figures:
        """Take gradient steps on the programs, each on pieces of episodes; return the figures of the last."""
        s, figures = self.settings, dict[str, Tensor]()
        for _ in range(steps):
            piece = Piece.of(*replay.seen.pieces(s.pieces, s.piece_length))
            figures = self.fitted(*piece.tensors())
        return figures

    def _fit(self, *piece: Tensor) -> Figures:
        figures = self.descent.step(None, *piece)
        return figures | {"finite": torch.isfinite(torch.stack(list(figures.values()))).all()}

    def _loss(self, context: None, *piece: Tensor) -> tuple[Tensor, Figures]:
        with fitting(self.world.model), fitting(self.world.filter):
            bound = mean_field_bound(self.world, Piece(*piece), self.settings.burn_in)
        return -bound, {"world_nats": bound}

    def progress_state(self) -> dict[str, Any]:
        """Return the number of gradient steps, and whether they run compiled."""
        return {"calls": self.progress.calls, "compiled": self.progress.compiled}

    def load_progress(self, state: dict[str, Any]) -> None:
        """Go on as a checkpoint ran, compiled or not, since the two differ by rounding."""
        self.progress.calls = state["calls"]
        self.progress.compiled = state["compiled"] and self.progress.how is not False

    def metrics(self) -> dict[str, float]:
        """Return how often a belief was not finite and began anew."""
        return {"rollout/beliefs_restarted": float(self.running.restarted)}


def _trained(program: Any) -> list[Any]:
    return [p for p in program.parameters() if p.requires_grad]
