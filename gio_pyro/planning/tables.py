"""The fitted model of a finite world as tables, and what is drawn from them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.dreaming import Counted
from gio_pyro.planning.imagination import HALF, Imagined, Pay
from gio_pyro.programs.expectations import enumerated_probabilities
from gio_pyro.signals import Fitted
from gio_pyro.types import Transitions

AT_ONCE = 2**22
"""Entries of the model's table that are asked for at once."""


@dataclass(frozen=True)
class WorldTables:
    """What is believed of a finite world, in float64; S states, A actions."""

    transition: Tensor
    """`[S, A, S]`: p(s'|s, a)."""
    ending: Tensor
    """`[S, A, S]`: the probability that the episode terminates with this transition."""
    reward: Tensor
    """`[S, A]`: expected reward, reward units."""
    information: Tensor
    """`[S, A]` nats: H(s'|s, a), since s' is seen as it is."""

    @property
    def continuation(self) -> Tensor:
        """The probability of arriving in s' with the episode going on, `[S, A, S]`."""
        return self.transition * (1 - self.ending)


class TableImagination:
    """Draws of the fitted model of a finite world; reward and termination are counted in replay.

    Of a pair that was never tried nothing is known: it is worth what the critic says of it, which is optimistic, in one
    step that ends the episode.

    Args:
        fitted: the spaces, the future, the model, the policy and replay.
        pay: the reward that the agent maximises.
        critic: Q(s, ·) `[S, A]` of all states, reward units.
    """

    information_weight = 1.0
    measures = True

    def __init__(self, fitted: Fitted, pay: Pay, critic: Callable[[Tensor], Tensor]) -> None:
        self.fitted, self.pay, self.critic = fitted, pay, critic
        self._tables: WorldTables | None = None

    def direct(self) -> AbstractContextManager[None]:
        """Change nothing: steps are no graphs."""
        return nullcontext()

    def refresh(self) -> None:
        """Read the tables again where they are used next."""
        self._tables = None

    @property
    def tables(self) -> WorldTables:
        """The tables of the model as it is now."""
        if self._tables is None:
            self._tables = self._read()
        return self._tables

    def step(self, state: Tensor, action: Tensor) -> Imagined:
        """Return one drawn step from each state `[M]`, with the expected reward and information of the pair."""
        known = self.tables
        next_state = torch.multinomial(known.transition[state, action], 1).squeeze(-1)
        ended = known.ending[state, action, next_state]
        return Imagined(next_state, known.reward[state, action], ended, known.information[state, action])

    @torch.no_grad()
    def _read(self) -> WorldTables:
        states, actions, _ = self.fitted.spec.sizes()
        replay = self.fitted.replay
        assert replay is not None  # `planner_of` is given one
        rows = replay.merged()
        device = rows.state.device
        every = torch.arange(states * actions, device=device)
        state, action = every // actions, every % actions
        counted = Counted(rows, states, actions)
        tried = counted.tried(state, action)
        p, reward = self._predicted(state, action, states)
        ending = torch.zeros_like(p)
        pair, arrived = (p * tried[:, None] > 0).nonzero(as_tuple=True)
        mean, ended = counted.of(state[pair], action[pair], arrived)
        received = (mean if reward is None else reward[pair, arrived]).float()
        over = ended > HALF
        drawn = Transitions(
            state[pair],
            action[pair],
            received,
            arrived,
            over,
            torch.zeros_like(over),
            *torch.ones(2, len(pair), device=device),
        )
        ending[pair, arrived] = ended
        expected = torch.zeros_like(p[:, 0]).index_add(0, pair, p[pair, arrived] * self.pay(drawn).reward.to(p))
        information = torch.special.entr(p).sum(-1)
        optimistic = self.critic(torch.arange(states, device=device)).to(p).flatten()
        expected = torch.where(tried, expected, optimistic)
        information = torch.where(tried, information, 0.0)
        ending = torch.where(tried[:, None], ending, 1.0)
        cube = states, actions, states
        return WorldTables(p.view(cube), ending.view(cube), expected.view(cube[:2]), information.view(cube[:2]))

    def _predicted(self, state: Tensor, action: Tensor, states: int) -> tuple[Tensor, Tensor | None]:
        """Return p_ψ(s'|s, a) of pairs `[M]`, and E[r|s, a, s'] where the future holds it, `[M, S]` in float64 each."""
        fitted, outcome = self.fitted, self.fitted.future.outcome
        assert outcome is not None  # `planner_of` requires it
        futures = torch.arange(int(fitted.spec.future_space.n), device=state.device)  # type: ignore[attr-defined]
        arrived, reward = outcome(futures, fitted.spec.state_space)
        at_once = max(1, AT_ONCE // len(futures))
        parts = [
            enumerated_probabilities(fitted.model.future(fitted.policy, s, a), futures).double()
            for s, a in zip(state.split(at_once), action.split(at_once), strict=True)
        ]
        whole = torch.cat(parts)
        p = torch.zeros(len(state), states, dtype=torch.float64, device=state.device).index_add(1, arrived, whole)
        if reward is None:
            return p, None
        paid = torch.zeros_like(p).index_add(1, arrived, whole * reward.double())
        return p, paid / p.clamp_min(torch.finfo(p.dtype).tiny)
