"""A goal-conditioned policy with goals in states of high signal that it has learned to reach."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.actor_critic import actor_critic_of, steppers, temperature_of
from gio_pyro.actor_critic.guide_reward import Entropy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError, shown
from gio_pyro.explorers.base import Act, Explorer, Source
from gio_pyro.explorers.finite_goals import FiniteGoals
from gio_pyro.explorers.goal_spaces import SEEN, GoalSpace, Wanted, goal_space_of
from gio_pyro.explorers.pairs import PairMasks
from gio_pyro.explorers.scheduler import either
from gio_pyro.explorers.vector_goals import VectorGoals
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.types import Spec, Transitions
from gio_pyro.utils.checks import switch

if TYPE_CHECKING:
    from gio_pyro.explorers.goal_values import GoalValues

COLD = 0.02
"""The temperature of the policy, times the horizon: the last step to a goal at the horizon is worth e⁻¹/horizon, 18
times as much."""
SIGNAL, LEARNED = "signal", "learned"
"""What goals are chosen by."""
LONGEST_WAY = 10_000
"""Largest number of steps to a goal, and of uniform actions after it; sequences of this length are sampled."""


class GoalExplorer(Explorer):
    """π(a|s, g): reaches states where the signal was high, then takes uniform actions.

    A goal g is drawn from the states that can be reached within the horizon from where the agent is, with probability
    proportional to the signal of the transitions that arrived there (where some are negative, to its excess over the
    least). It is pursued until it is reached or `horizon` steps are over; then `wander` uniform actions are taken,
    which is how what lies behind the known is found (first return, then explore: Ecoffet et al., 2021, arXiv
    2004.12919; goals where little is known: Pitis et al., 2020, arXiv 2007.02832). Where there is no goal, it wanders.
    With `explore` another explorer acts instead of uniformly: one that explores, and this one that achieves (LEXA:
    Mendonca et al., 2021, arXiv 2110.09514).

    The policy is a control of the same kind as the agent's, over pairs (s, g), that learns by relabelling replay in
    hindsight: reward 1 and the end at g, discount 1 − 1/horizon, temperature 0.02/horizon (Andrychowicz et al., 2017,
    arXiv 1707.01495). Finite worlds relabel every transition with every known goal, so that it is exact for what is
    known. See `FiniteGoals` and `VectorGoals` for what counts as reachable and as reached.

    Args:
        source: what it is built from.
        horizon: the most steps to a goal.
        wander: steps between goals, of uniform actions or by `explore`.
        near: distance at which a goal of numbers counts as reached, standard deviations.
        explore: explorer that acts between goals, with its settings: "Signal(dream_horizon=10, dream_share=1.0)".
        parts: numbers of a state that a goal may leave the others out of, such as ((0, 1), (2, 3)), or "each"; None for
            goals that are whole states (see `PartGoals`).
        controllable: draw parts by what actions change in them.
        among: where goals that are vectors come from: "seen", states that were seen ahead; "walk", a memory of states
            that are out of each other's reach as a network predicts (see `WalkGoals`); or "latent", a generative model
            of what lies ahead (see `LatentGoals`). Of finitely many states always those that are known to be reachable.
        choose: "signal" draws goals in proportion to the signal where they are; "learned" in proportion to a learned
            value of pursuing them from the present state, the π(g|s) of an upper level (see `goal_values.py`).

    Raises:
        InputError: a number out of range, too many states, an unknown explorer, parts that do not fit, or a value that
            is learned of other goals than states that were seen.
    """

    goal: Tensor
    pursuing: Tensor
    left: Tensor
    tally: Tensor

    def __init__(
        self,
        source: Source,
        horizon: int = 20,
        *,
        wander: int = 5,
        near: float = 0.2,
        explore: str = "Uniform",
        parts: Any = None,
        controllable: bool = False,
        among: str = SEEN,
        choose: str = SIGNAL,
    ) -> None:
        super().__init__(source)
        _check(horizon, wander, near)
        self.horizon, self.wander = horizon, wander
        spec, controllable = source.fitted.spec, switch("controllable", controllable)
        wanted = Wanted(horizon, near, parts, controllable, among, source.settings.learning_rate)
        self.goals = goal_space_of(source.fitted, wanted)
        own = replace(source.settings, discount=1 - 1 / horizon, temperature=COLD / horizon, initial_value=0.0)
        masks = None if spec.masks is None else PairMasks(spec.masks, self.goals)
        pairs = Spec(self.goals.pairs, spec.action_space, spec.future_space, hidden=spec.hidden, masks=masks)
        self.control = actor_critic_of(pairs, own)  # checkpoints hold it by this name
        self.temperature = temperature_of(pairs, own)
        self.reward = Entropy()
        self.between = source.named(explore, source)
        self.values = _values_of(choose, wanted, self.goals, source)
        self.greedy = isinstance(spec.action_space, Discrete)
        self.register_buffer("goal", self.goals.empty(source.streams))
        self.register_buffer("pursuing", torch.zeros(source.streams, dtype=torch.bool))
        self.register_buffer("left", torch.zeros(source.streams, dtype=torch.long))
        self.register_buffer("tally", torch.zeros(2, dtype=torch.long))

    def behaviour(self, replay: Replay) -> Act:
        """Return the function that pursues goals, and acts uniformly between them; its first call finds candidates."""
        between = self.between.behaviour(replay)
        toward = self.control.behaviour(uniform_share=self.source.settings.uniform_share, greedy=self.greedy)

        @cache
        def known() -> Any:
            return self.goals.survey(replay, self.source.reward_mix.read)

        def act(state: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
            for row in (self.left[stream] == 0).nonzero().flatten().tolist():
                found = self.goals.candidates(known(), state[row]) if len(replay) else None
                self._take(stream[row], None if found is None else drawn_goal(*self._valued(state[row], *found)))
            pairs = self.goals.join(state, self.goal[stream])
            return either(self.pursuing[stream], lambda i: toward(pairs[i]), lambda i: between(state[i], stream[i]))

        return act

    def _valued(self, state: Tensor, goal: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return goals `[K, ...]` with what each is worth from a state: the signal there, or its value if learned."""
        if self.values is None or not len(goal):
            return goal, signal
        learned = self.values(state, goal).to(signal)
        return goal, torch.where(learned.isnan(), signal, learned)

    def _take(self, stream: Tensor, goal: Tensor | None) -> None:
        """Choose a goal for one environment, or none, which means uniform actions."""
        if goal is not None:
            self.goal[stream] = goal
        self.pursuing[stream] = goal is not None
        self.left[stream] = max(self.wander, 1) if goal is None else self.horizon
        self.tally[0] += goal is not None

    def begin(self, stream: Tensor) -> None:
        """Drop the goals in these environments `[n]`, where a turn starts from a new state."""
        self.pursuing[stream] = False
        self.left[stream] = 0
        self.between.begin(stream)

    def on_step(self, arrived: Tensor, stream: Tensor) -> None:
        """Count a step to `[n, ...]` in these environments `[n]`; drop goals that were reached."""
        free = ~self.pursuing[stream]
        self.between.on_step(arrived[free], stream[free])
        there = self.pursuing[stream] & self.goals.reached(arrived, self.goal[stream])
        self.left[stream] = torch.where(there, self.wander, self.left[stream] - 1)
        self.pursuing[stream] &= ~there
        self.tally[1] += there.sum()

    def observe(self, rows: Transitions) -> None:
        """Update the scale of distances and the input normalisers with new states."""
        self.goals.observe(rows.state)
        self.control.observe(self.goals.join(rows.state, self.goals.goals_of(rows.next_state)))
        self.between.observe(rows)

    def improve(self, replay: Replay, step: int) -> Figures:
        """Train on hindsight goals; return the losses and the share of goals reached so far."""
        rows = self.goals.relabelled(replay, self.source.settings.batch_size)
        self.goals.learn(replay)
        valued = {} if self.values is None else self.values.learn(replay, self.goals, self.source.reward_mix.read)
        found = valued | self.control.improve(rows, self.reward, self.temperature, step)
        found |= {f"between_{name}": value for name, value in self.between.improve(replay, step).items()}
        return found | {"reached": self.tally[1] / self.tally[0].clamp_min(1)}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers of policy, critic, goals, and what acts between them."""
        own = steppers(self.control, self.temperature) | self.goals.optimisers
        own |= {} if self.values is None else self.values.optimisers
        return own | {f"between_{name}": one for name, one in self.between.optimisers().items()}


def _values_of(choose: str, wanted: Wanted, goals: GoalSpace, source: Source) -> GoalValues | None:
    """Return the learned values of goals, None where they are drawn by the signal."""
    if choose == SIGNAL:
        return None
    if choose != LEARNED:
        raise InputError(f"Expected choose to be {SIGNAL} or {LEARNED}, but got {shown(choose)}; name one.")
    from gio_pyro.explorers.goal_values import NetworkGoalValues, TableGoalValues

    s = source.settings
    if isinstance(goals, FiniteGoals):
        return TableGoalValues(goals.states, s.discount)
    if type(goals) is not VectorGoals:
        raise InputError(
            f"Expected whole states that were seen as goals whose value is learned, but got {wanted.among}"
            f"{'' if wanted.parts is None else ' and parts'}; leave one of them out."
        )
    hidden, rate = source.fitted.spec.hidden, s.target_rate
    return NetworkGoalValues(goals, s.discount, hidden=tuple(hidden), learning_rate=s.learning_rate, rate=rate)


def drawn_goal(goal: Tensor, value: Tensor) -> Tensor | None:
    """Return one of `goal` `[K, ...]`, drawn with probabilities proportional to its `value` `[K]`, or None.

    Where some are negative, to what they exceed the least by. None where no value is above 0.
    """
    weight = worth(value)
    if not len(weight) or not bool(weight.sum() > 0):
        return None
    return goal[torch.multinomial(weight, 1).squeeze(0)]


def worth(value: Tensor) -> Tensor:
    """Return weights of at least 0, `[K]`: the values themselves, or above the least where that is negative."""
    return value - value.amin().clamp_max(0.0) if len(value) else value


def _check(horizon: int, wander: int, near: float) -> None:
    for name, number, least in (("horizon", horizon, 1), ("wander", wander, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= LONGEST_WAY:
            raise InputError(
                f"Expected {name} of the explorer Goals to be a whole number of at least {least}, but got "
                f"{shown(number)}; the most is {LONGEST_WAY}, and Goals(horizon=20, wander=5) is the default."
            )
    if not isinstance(near, int | float) or isinstance(near, bool) or not 0 < near < float("inf"):
        raise InputError(
            f"Expected near of the explorer Goals to be a distance above 0, but got {shown(near)}; 0.2 standard "
            "deviations is the default."
        )
