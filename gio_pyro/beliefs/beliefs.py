"""Beliefs of a world model's filter as the states of an agent: kept while it acts, recomputed where it learns."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.beliefs.behaviour import BelievingBehaviour, RunningBelief, begun_again
from gio_pyro.beliefs.imagination import WorldImagination
from gio_pyro.beliefs.observed import Observed
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.pyro_bound import world_objective
from gio_pyro.beliefs.replay import BelievedReplay
from gio_pyro.beliefs.terms import terms_of
from gio_pyro.beliefs.world import World
from gio_pyro.collection import Behaviour
from gio_pyro.collection.choosing import Memory
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError, shown
from gio_pyro.inference import Optim
from gio_pyro.nn.gradient_step import Descent, Figures
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.programs import fitting, without_validation
from gio_pyro.settings import Settings
from gio_pyro.types import Seen, Transitions

MOST_GRADIENT = 10.0
"""Largest norm of a gradient of the bound, nats for each instant."""


class Beliefs(Observed):
    """The beliefs of a filter, and how it and its world model are fitted.

    Args:
        world: the pair of programs.
        settings: `burn_in`, `piece_length`, `pieces`, `learning_rate` and `compile`.
        observation: an example of what is seen in N environments, `[N, ...]`.
        action: an example of the site "action" in each, `[N, ...]`.
    """

    learns = True
    lost_in_replay: Tensor
    """How many beliefs of replay were not finite, and read as 0."""

    def __init__(self, world: World, settings: Settings, observation: Tensor, action: Tensor) -> None:
        super().__init__()
        self.world, self.settings = world, settings
        self.running = RunningBelief(world.before(observation), action)
        self.register_buffer("lost_in_replay", torch.zeros((), dtype=torch.int64))
        rated = [
            (own, program.learning_rate or settings.learning_rate)
            for program in world.programs
            if (own := _trained(program))
        ]
        if rated:
            self.optimisers["world"] = Optim().build(rated)
        self.objective = world_objective(settings.world_objective)
        self.descent = Descent("world", self._loss, self.optimisers.get("world"), clipped)
        sources, reads = Sources([world], list(self.optimisers.values())), Sources([world])
        self.progress = Progress(settings.compile if settings.world_objective is None else False)
        reading = Progress(False if settings.compile is False else "auto", captured_only=True)
        self.fitted = GraphedFunction(self._fit, sources, self.progress)
        self.sampled = GraphedFunction(self._along, reads, reading if settings.world_objective else self.progress)
        self.followed = GraphedFunction(self._along, reads, reading)
        self.stepped = GraphedFunction(self._step, reads, reading)
        self.scored = GraphedFunction(self._score, reads, reading)

    @property
    def names(self) -> dict[str, str]:
        """Names of the programs by kind."""
        return {"world_model": self.world.model.name, "filter": self.world.filter.name}

    def space(self, observations: Space[Any]) -> Space[Any]:
        """Return the space of beliefs."""
        return Box(-np.inf, np.inf, (self.world.size,), np.float32)

    def replay(self, capacity: int, images: int | None) -> BelievedReplay:
        """Return a replay of what is seen that is read as beliefs."""
        seen = Replay(capacity, images, histories=True)
        return BelievedReplay(seen, self.along, self.settings.burn_in, self._along_samples)

    # acting

    def behaviour(self, inner: Behaviour) -> Behaviour:
        """Return what collects, given what acts on beliefs."""
        acting: Behaviour = BelievingBehaviour(inner, self.running, self.updated, self.world.filter.name)
        return acting

    def elsewhere(self, inner: Behaviour, environments: int) -> Behaviour:
        """Return what acts in as many other environments, whose beliefs are their own."""
        like = (one[:1].expand(environments, *one.shape[1:]) for one in (self.running.belief, self.running.action))
        name, running = self.world.filter.name, RunningBelief(*like)
        acting: Behaviour = BelievingBehaviour(inner, running, lambda *seen: self._step(*seen)["belief"], name)
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
            kept = self._remembered(memory, (count, width)).to(seen.device)
            belief, done = kept.split([now.belief.shape[1], width - now.belief.shape[1]], 1)
            action = done.reshape(count, *now.action.shape[1:]).to(now.action.dtype)
        first = torch.as_tensor(np.full(count, memory is None) if begins is None else begins, device=seen.device)
        later = Seen(seen, None, torch.zeros_like(first))
        again = self.world.begin(seen)
        found = torch.where(first.unsqueeze(-1), again, self.world.update(belief, action, later))
        return begun_again(found, lambda: again, self.world.filter.name)[0]

    def _remembered(self, memory: Any, shape: tuple[int, int]) -> Tensor:
        """Return what `remember` returned as a tensor `[N, M]`; raises `InputError` for anything else."""
        try:
            kept = torch.from_numpy(np.array(memory, dtype=np.float64)).to(torch.get_default_dtype())
        except (TypeError, ValueError):
            kept = torch.empty(0)
        if kept.shape != shape or not bool(kept.isfinite().all()):
            got = f"an array {tuple(kept.shape)}" if kept.ndim == len(shape) else shown(memory)
            raise InputError(
                f"Expected the state that predict returned for {shape[0]} observations, finite numbers {shape}, but "
                f"got {got}; pass it on as it is, or None where episodes begin."
            )
        return kept

    def remember(self, state: Tensor, action: Tensor) -> Array:
        """Return beliefs and actions of N episodes, `[N, M]`."""
        kept: Array = torch.cat([state, action.reshape(len(state), -1).to(state)], 1).cpu().numpy()
        return kept

    # reading

    @torch.no_grad()
    def along(self, piece: Piece) -> Tensor:
        """Return the beliefs at the instants of pieces of episodes, `[B, T + 1, D]`, those not finite as 0."""
        return self._run_along(self.followed, piece)

    @torch.no_grad()
    def _along_samples(self, piece: Piece) -> Tensor:
        """Return the same for the batches of an update, which are always as large, and worth compiling."""
        return self._run_along(self.sampled, piece)

    def _run_along(self, function: GraphedFunction, piece: Piece) -> Tensor:
        with without_validation():  # a graph may be captured here
            found = function(*piece.tensors())
        self.lost_in_replay += found["lost"]
        return found["beliefs"]

    def _along(self, *piece: Tensor) -> Figures:
        given = Piece(*piece)
        found, there = self.world.along(given), given.counted(0)
        finite = found.isfinite().all(-1)
        beliefs = torch.where(finite.unsqueeze(-1), found, 0.0)
        return {"beliefs": beliefs, "lost": (there & ~finite).sum()}

    @torch.no_grad()
    def terms(self, rows: Transitions, replay: BelievedReplay) -> Figures:
        """Return information gain and state consistency of replayed transitions, `[B]` nats each."""
        seen = replay.seen.numbered(rows.time)
        with without_validation():
            return self.scored(rows.state, rows.action, seen.next_state, seen.reward, seen.terminated)

    def _score(self, belief: Tensor, action: Tensor, observation: Tensor, reward: Tensor, ended: Tensor) -> Figures:
        found = terms_of(self.world, belief, action, Seen(observation, reward, ended), self.settings.marginal_draws)
        return {"information_gain": found.information, "state_consistency": found.consistency}

    def rewarded(self, rows: Transitions, replay: BelievedReplay, alpha: Tensor | float) -> Transitions:
        """Return the transitions with r + α (w information gain − v state consistency) as their reward."""
        s = self.settings
        if s.information_weight == s.consistency_weight == 0:
            return rows
        found = self.terms(rows, replay)
        nats = s.information_weight * found["information_gain"] - s.consistency_weight * found["state_consistency"]
        return rows.with_reward(rows.reward + alpha * nats)

    def bound(self, rows: Transitions, replay: BelievedReplay) -> dict[str, float]:
        """Return the means of the terms over replayed transitions, nats."""
        return {f"bound/{name}": float(values.mean()) for name, values in self.terms(rows, replay).items()}

    def imagination(self, pay: Callable[[Transitions], Transitions]) -> WorldImagination:
        """Return the world model for planners to roll out."""
        s = self.settings
        return WorldImagination(
            self.world, pay, s.marginal_draws, self.running.action[:1], captured=s.compile is not False
        )

    # learning

    def expect(self, updates: int) -> None:
        """Say how many updates are to come, which decides what is worth compiling."""
        self.fitted.ahead, self.sampled.ahead = updates * self.settings.gradient_steps, updates

    def observe(self, rows: Transitions) -> None:
        """Update input statistics with new transitions of what was seen."""
        self.world.observe(rows)
        for function in (self.fitted, self.sampled, self.followed, self.stepped, self.scored):
            function.recheck()

    def update(self, replay: BelievedReplay, steps: int, samples: int = 0) -> Figures:
        """Take gradient steps on the programs, each on pieces of episodes; return the figures of the last.

        Args:
            replay: what was seen.
            steps: their number.
            samples: how many batches are to be sampled from replay before the next call; they are drawn at once.
        """
        s, figures = self.settings, dict[str, Tensor]()
        replay.forget()
        for _ in range(steps):
            piece = Piece.of(*replay.seen.pieces(s.pieces, s.piece_length))
            figures = self.fitted(*piece.tensors())
        if samples and s.batch_size is not None:
            replay.draw(samples, s.batch_size)
        return figures

    def _fit(self, *piece: Tensor) -> Figures:
        figures = self.descent.step(None, *piece)
        return figures | {"finite": torch.isfinite(torch.stack(list(figures.values()))).all()}

    def _loss(self, context: None, *piece: Tensor) -> tuple[Tensor, Figures]:
        with fitting(self.world.model), fitting(self.world.filter):
            bound = self.objective(self.world, Piece(*piece), self.settings.burn_in)
        return -bound, {"world_nats": bound}

    def progress_state(self) -> dict[str, Any]:
        """Return the number of gradient steps, and whether they run compiled."""
        return {"calls": self.progress.calls, "compiled": self.progress.compiled}

    def load_progress(self, state: dict[str, Any]) -> None:
        """Go on as a checkpoint ran, compiled or not, since the two differ by rounding."""
        self.progress.calls = state["calls"]
        self.progress.compiled = state["compiled"] and self.progress.how is not False

    def metrics(self) -> dict[str, float]:
        """Return how often a belief was not finite: those that began anew while acting, and those read as 0."""
        acting = float(self.running.restarted)
        return {"rollout/beliefs_restarted": acting, "replay/beliefs_not_finite": float(self.lost_in_replay)}


def clipped(parameters: Sequence[nn.Parameter]) -> None:
    """Bound the norm of all gradients together: where a world is nearly noiseless, they have heavy tails."""
    nn.utils.clip_grad_norm_(parameters, MOST_GRADIENT)


def _trained(program: Any) -> list[Any]:
    return [p for p in program.parameters() if p.requires_grad]
