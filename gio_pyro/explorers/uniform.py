"""An explorer that takes uniform actions."""

from gymnasium.spaces import Discrete

from gio_pyro.actor_critic.behaviour import mixed_behaviour
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.explorers.base import Act, Explorer


class UniformExplorer(Explorer):
    """Uniform over the allowed actions, or over the action box; it needs no signal."""

    seeks_signal = False

    def behaviour(self, replay: Replay) -> Act:
        """Return the function that draws actions."""
        fitted = self.source.fitted
        finite = isinstance(fitted.spec.action_space, Discrete)
        draw = mixed_behaviour(fitted.policy, uniform_share=1.0, finite=finite)
        return lambda state, stream: draw(state)
