"""An explorer of skills that can be told apart by the states that they lead to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.actor_critic import actor_critic_of, steppers, temperature_of
from gio_pyro.actor_critic.guide_reward import Entropy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers.base import Act, Explorer, Source
from gio_pyro.explorers.pairs import FiniteSkillPairs, PairMasks, VectorSkillPairs
from gio_pyro.nn import is_image
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.settings import Settings
from gio_pyro.types import Spec, Transitions
from gio_pyro.utils.checks import whole

if TYPE_CHECKING:
    from gio_pyro.explorers.discriminators import Discriminator

MOST_SKILLS, MOST_REMEMBERED = 1_000, 10_000_000


class SkillExplorer(Explorer):
    """π(a|s, z): a skill z for each turn, drawn uniformly, rewarded by log q(z|s') − log p(z), in nats.

    The mean reward is a lower bound on I(Z; S'), of skills and the states that they lead to (DIAYN: Eysenbach et al.,
    2018, arXiv 1802.06070; the bound of Barber and Agakov). The discriminator q learns from the latest states that
    skills led to; the policy, a soft actor-critic over pairs (s, z), learns from the whole replay, each transition with
    a skill drawn anew (in finite worlds with every skill). It needs no signal.

    Args:
        source: what it is built from.
        count: K, the number of skills.
        memory: states that the discriminator learns from.
        temperature: of the policy's entropy, in nats of reward per nat, in any form of the agent's setting; None takes
            the agent's.

    Raises:
        InputError: a number out of range, or states that are images.
    """

    seeks_signal = False
    skill: Tensor
    """The skill in each environment, `[N]`."""

    def __init__(
        self, source: Source, count: int = 8, *, memory: int = 10_000, temperature: float | str | None = None
    ) -> None:
        super().__init__(source)
        self.count = whole("count", count, 2, MOST_SKILLS)
        spec, own = source.fitted.spec, source.settings
        self.pairs = _pairs_of(spec, self.count)
        masks = None if spec.masks is None else PairMasks(spec.masks, self.pairs)
        joint = Spec(self.pairs.space, spec.action_space, spec.future_space, hidden=spec.hidden, masks=masks)
        own = own if temperature is None else _with_temperature(own, temperature)
        self.control = actor_critic_of(joint, own)  # checkpoints hold it by this name
        self.temperature = temperature_of(joint, own)
        self.reward = Entropy()
        remembered = whole("memory", memory, 1, MOST_REMEMBERED)
        self.discriminator = _discriminator_of(spec, self.count, remembered, own.learning_rate)
        self.register_buffer("skill", torch.zeros(source.streams, dtype=torch.int64))

    def policy(self, skill: int) -> Callable[[Tensor], Distribution]:
        """Return π(·|s, z) of one skill, a function of states `[B, ...]`.

        Raises:
            InputError: a number that is not one of a skill.
        """
        z = whole("skill", skill, 0, self.count - 1)
        return lambda state: self.control.policy(self.pairs.join(state, torch.full((len(state),), z)))

    def behaviour(self, replay: Replay) -> Act:
        """Return samples of the policy for the skill of each environment."""
        draws = self.control.behaviour(uniform_share=self.source.settings.uniform_share)
        return lambda state, stream: draws(self.pairs.join(state, self.skill[stream]))

    def begin(self, stream: Tensor) -> None:
        """Draw a skill for each of these environments `[n]`."""
        self.skill[stream] = torch.randint(self.count, stream.shape, device=stream.device)

    def on_step(self, arrived: Tensor, stream: Tensor) -> None:
        """Remember which skills led to these states `[n, ...]`."""
        self.discriminator.remember(arrived, self.skill[stream])

    def observe(self, rows: Transitions) -> None:
        """Update input normalisers with new transitions."""
        self.control.observe(self.pairs.join(rows.state, self._drawn(len(rows))))
        self.discriminator.observe(rows.next_state)

    def improve(self, replay: Replay, step: int) -> Figures:
        """Train the discriminator on what skills led to, and the policy on replay with its reward as it is now."""
        learned = self.discriminator.learn(self.source.settings.batch_size)
        rows = self.rewarded(self.control.rows(replay))
        figures = learned | self.control.improve(rows, self.reward, self.temperature, step)
        return figures | {"skill_nats": self.discriminator.information()}

    @torch.no_grad()
    def rewarded(self, rows: Transitions) -> Transitions:
        """Return transitions over pairs of state and skill with the reward of the skill: `[B]` or `[B · K]`."""
        rows, skill = self.pairs.spread(rows, self._drawn(len(rows)))
        log_q = self.discriminator.log_q(rows.next_state).gather(-1, skill[:, None]).squeeze(-1)
        return replace(
            rows,
            state=self.pairs.join(rows.state, skill),
            next_state=self.pairs.join(rows.next_state, skill),
            reward=(log_q + math.log(self.count)).to(rows.reward),
        )

    def _drawn(self, size: int) -> Tensor:
        return torch.randint(self.count, (size,), device=self.skill.device)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers of policy, critic, a learned temperature and the discriminator."""
        return steppers(self.control, self.temperature) | self.discriminator.optimisers


def _pairs_of(spec: Spec, count: int) -> FiniteSkillPairs | VectorSkillPairs:
    space: Any = spec.state_space
    if isinstance(space, Discrete):
        return FiniteSkillPairs(space, count)
    if is_image(space):
        raise InputError(
            "Expected states of numbers for the explorer Skills, but got images; wrap the environment to show numbers."
        )
    return VectorSkillPairs(space, count)


def _discriminator_of(spec: Spec, count: int, memory: int, learning_rate: float) -> Discriminator:
    from gio_pyro.explorers.discriminators import NetworkDiscriminator, TableDiscriminator

    space: Any = spec.state_space
    if isinstance(space, Discrete):
        return TableDiscriminator(int(space.n), count, memory)
    return NetworkDiscriminator(space, count, memory, hidden=spec.hidden, learning_rate=learning_rate)


def _with_temperature(agent: Settings, temperature: float | str) -> Settings:
    try:
        return replace(agent, temperature=temperature)
    except InputError as error:
        raise InputError(f"{error} It is a setting of the explorer Skills.") from error
