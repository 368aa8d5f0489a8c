"""An explorer that maximises the signal alone."""

from dataclasses import replace

import torch

from gio_pyro.actor_critic import actor_critic_of, steppers, temperature_of
from gio_pyro.actor_critic.guide_reward import Entropy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers.base import Act, Explorer, Source
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.settings import Settings
from gio_pyro.types import Transitions


class SignalExplorer(Explorer):
    """Maximises the discounted signal and, at its own temperature, entropy: a soft actor-critic on r = β signal.

    It learns from the whole replay, the task policy's steps too, with the signal as it is now (as Plan2Explore keeps
    exploration and task separate, Sekar et al., 2020, arXiv 2005.05960, here without planning).

    Args:
        source: what it is built from.
        temperature: of its entropy, in units of its reward per nat, in any form of the agent's setting; None takes
            the agent's.

    Raises:
        InputError: a temperature out of range.
    """

    def __init__(self, source: Source, *, temperature: float | str | None = None) -> None:
        super().__init__(source)
        spec, s = source.fitted.spec, source.settings
        own = s if temperature is None else replace(s, temperature=_checked(temperature))
        self.control = actor_critic_of(spec, own)  # checkpoints hold it by this name
        self.temperature = temperature_of(spec, own)
        self.reward = Entropy()

    def behaviour(self, replay: Replay) -> Act:
        """Return samples of its policy, with the agent's share of uniform actions."""
        draws = self.control.behaviour(uniform_share=self.source.settings.uniform_share)
        return lambda state, stream: draws(state)

    def observe(self, rows: Transitions) -> None:
        """Update input normalisers with new states."""
        self.control.observe(rows.state)

    def improve(self, replay: Replay, step: int) -> Figures:
        """Evaluate and improve its policy on replayed transitions, with the signal as it is now."""
        rows = self.source.reward_mix.mix(self.control.rows(replay), step)
        return self.control.improve(rows, self.reward, self.temperature, step)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers of policy, critic and a learned temperature."""
        return steppers(self.control, self.temperature)


def _checked(temperature: float | str) -> float | str:
    """Return the temperature; raises `InputError` that names this explorer for an invalid one."""
    try:
        Settings(temperature=temperature)
    except InputError as error:
        raise InputError(str(error).replace("temperature", "temperature of the explorer Signal", 1)) from error
    return temperature
