"""An explorer that maximises the signal alone."""

from dataclasses import replace
from typing import Any

import torch

from gio_pyro.actor_critic import actor_critic_of, steppers, temperature_of
from gio_pyro.actor_critic.guide_reward import Entropy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.dreaming import dreams_of
from gio_pyro.errors import InputError
from gio_pyro.explorers.base import Act, Explorer, Source
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.settings import Settings
from gio_pyro.types import Transitions


class SignalExplorer(Explorer):
    """Maximises the discounted signal and, at its own temperature, entropy: a soft actor-critic on r = β signal.

    It learns from the whole replay, the task policy's steps too, with the signal as it is now. With a `dream_horizon`
    it learns from rollouts of its own policy in the model as well, so that it seeks what the signal expects ahead, not
    only what it said of what was seen (Plan2Explore: Sekar et al., 2020, arXiv 2005.05960).

    Args:
        source: what it is built from.
        temperature: of its entropy, in units of its reward per nat, in any form of the agent's setting; None takes
            the agent's.
        dream_horizon: steps that its policy is rolled out in the model from replayed states; 0 for none.
        dream_share: share of rollouts in what it learns from, in (0, 1], as the agent's setting.

    Raises:
        InputError: a number out of range, only one of the last two, or a future that does not hold the next state.
    """

    def __init__(
        self,
        source: Source,
        *,
        temperature: float | str | None = None,
        dream_horizon: int = 0,
        dream_share: float = 0.0,
    ) -> None:
        super().__init__(source)
        spec, own = source.fitted.spec, _own_settings(source.settings, temperature, dream_horizon, dream_share)
        self.control = actor_critic_of(spec, own)  # checkpoints hold it by this name
        self.temperature = temperature_of(spec, own)
        self.reward = Entropy()
        self.dreaming = dreams_of(
            replace(source.fitted, policy=self.control.policy),
            horizon=own.dream_horizon,
            share=own.dream_share,
            samples=own.samples,
            learning_rate=own.learning_rate,
        )

    def behaviour(self, replay: Replay) -> Act:
        """Return samples of its policy, with the agent's share of uniform actions."""
        draws = self.control.behaviour(uniform_share=self.source.settings.uniform_share)
        return lambda state, stream: draws(state)

    def observe(self, rows: Transitions) -> None:
        """Update input normalisers with new transitions."""
        self.control.observe(rows.state)
        self.dreaming.observe(rows)

    def improve(self, replay: Replay, step: int) -> Figures:
        """Evaluate and improve its policy on replayed and imagined transitions, with the signal as it is now."""
        rows = self.control.rows(replay)
        learned = self.dreaming.update(rows)
        rewarded = self.source.reward_mix.mix(self.dreaming.beside(rows), step)
        return learned | self.control.improve(rewarded, self.reward, self.temperature, step)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers of policy, critic, a learned temperature, and what rollouts ask beside the model."""
        return steppers(self.control, self.temperature) | self.dreaming.optimisers


def _own_settings(agent: Settings, temperature: float | str | None, horizon: int, share: float) -> Settings:
    """Return the agent's settings with the explorer's; for invalid ones raise an `InputError` that names it."""
    own: dict[str, Any] = {"dream_horizon": horizon, "dream_share": share}
    if temperature is not None:
        own["temperature"] = temperature
    try:
        return replace(agent, **own)
    except InputError as error:
        text = str(error)
        for name in own:
            text = text.replace(name, f"{name} of the explorer Signal", 1)
        raise InputError(text) from error
