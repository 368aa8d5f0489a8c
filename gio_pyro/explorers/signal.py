"""An explorer that maximises the signal alone."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gio_pyro.actor_critic import actor_critic_of, steppers, temperature_of
from gio_pyro.actor_critic.guide_reward import Entropy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.dreaming import dreams_of
from gio_pyro.errors import InputError
from gio_pyro.explorers.base import Act, Explorer, Source
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.settings import Settings, finite_world
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import whole

MOST_STEPS = 2**40


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
        hand_over: environment step at which the agent's policy becomes a copy of this one, and learns on from there (as
            in LEXA: Mendonca et al., 2021, arXiv 2110.09514); 0 for never. Of networks: the policy of a table follows
            from its values.

    Raises:
        InputError: a number out of range, only one of `dream_horizon` and `dream_share`, a future that does not hold
            the next state, or `hand_over` for tables.
    """

    handed: Tensor

    def __init__(
        self,
        source: Source,
        *,
        temperature: float | str | None = None,
        dream_horizon: int = 0,
        dream_share: float = 0.0,
        hand_over: int = 0,
    ) -> None:
        super().__init__(source)
        self.hand_over = whole("hand_over", hand_over, 0, MOST_STEPS)
        if self.hand_over and finite_world(source.fitted.spec.state_space, source.fitted.spec.action_space):
            raise InputError(
                "Expected policies that are networks where one is handed over, but got tables, whose policies follow "
                "from their values; leave hand_over out."
            )
        if self.hand_over:
            self.register_buffer("handed", torch.zeros((), dtype=torch.bool))
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
        figures = learned | self.control.improve(rewarded, self.reward, self.temperature, step)
        if self.hand_over and step >= self.hand_over and not bool(self.handed):
            self.source.fitted.policy.load_state_dict(self.control.policy.state_dict())  # type: ignore[attr-defined]
            self.handed.fill_(True)
        return figures

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
