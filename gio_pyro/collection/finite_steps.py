"""Steps of one environment with finitely many states and actions, without tensors and arrays for each step.

Arrays of one number take most of the time of such a step. Here its numbers are Python's, and a round becomes tensors at
its end. Checks, recorded episodes, statistics and random numbers are those of `Collector`'s other steps.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from gymnasium.spaces import Discrete

from gio_pyro.collection.collected import Collected
from gio_pyro.collection.device_transfer import to_device
from gio_pyro.collection.environment_adapter import EnvironmentAdapter
from gio_pyro.collection.episode_statistics import EpisodeStatistics
from gio_pyro.collection.interface_checks import environment_error
from gio_pyro.collection.observations import DiscreteObservations
from gio_pyro.collection.reward_checks import check_size
from gio_pyro.collection.vector_adapters import SingleEnvAdapter
from gio_pyro.types import Transitions


@runtime_checkable
class TabularBehaviour(Protocol):
    """A behaviour policy whose action depends on a state and a uniform number alone."""

    def at_quantile(self, state: int, uniform: float, device: torch.device) -> tuple[int, float]:
        """Return the action at the quantile `uniform`, in [0, 1), of μ(·|s), and its probability."""
        ...


def has_finite_steps(environments: EnvironmentAdapter, behaviour: object) -> bool:
    """Return whether `FiniteSteps` can take the steps: one environment, and a table as its behaviour."""
    single = isinstance(environments, SingleEnvAdapter)
    finite = isinstance(environments.observations, DiscreteObservations)
    return single and finite and isinstance(behaviour, TabularBehaviour)


Taken = tuple[int, int, float, int, float, bool, bool]
"""A transition in numbers: state, action, μ(a|s), next state, reward, terminated, truncated."""


class FiniteSteps:
    """Steps one environment with a table as its behaviour.

    Args:
        environments: the environment; it has been reset, and its episode may be over.
        statistics: of its episodes.
        device: of the transitions.
    """

    def __init__(self, environments: EnvironmentAdapter, statistics: EpisodeStatistics, device: torch.device) -> None:
        assert isinstance(environments.observations, DiscreteObservations)
        self.environments, self.statistics, self.device = environments, statistics, device
        self.recorder = environments.recorders[0]
        self.index = environments.observations.index
        raw = environments.actions.raw
        self.first = int(raw.start) if isinstance(raw, Discrete) else None

    def collect(self, behaviour: TabularBehaviour, steps: int, state: int, begins: bool) -> Collected:
        """Take `steps` steps, the first in `state`; `begins` says whether it does not continue an episode.

        Raises:
            TrainingError: the environment raised, or gave a reward that is NaN or infinite.
            InputError: an observation outside its space.
        """
        environments, device = self.environments, self.device
        taken: list[Taken] = []
        ended = False
        for uniform in torch.rand(steps, dtype=torch.float64).tolist():
            if ended:
                state = int(environments.reset(None)[0])
            action, probability = behaviour.at_quantile(state, uniform, device)
            next_state, reward, terminated, truncated = self._step(action)
            taken.append((state, action, probability, next_state, reward, terminated, truncated))
            ended, state = terminated or truncated, next_state
        environments.states = np.array([state])
        return _collected(taken, begins, device)

    def _step(self, action: int) -> tuple[int, float, bool, bool]:
        """Take an action; return the next state, the reward and the flags."""
        environments, recorder = self.environments, self.recorder
        taken = environments.actions.decode_one(np.array([action])) if self.first is None else action + self.first
        try:
            observation, reward, terminated, truncated, _ = recorder.step(taken)
        except Exception as error:
            raise environment_error("take a step", error) from error
        ended = terminated or truncated
        if ended:
            environments.ended = np.ones(1, dtype=np.bool_)
        state = self.index(observation)
        masks = environments.masks
        if recorder.mask is not None or masks.given[0]:
            masks.update(np.array([state]), [recorder.mask], environments.ended)
        check_size(reward)
        self.statistics.add_one(reward, ended=ended)
        return state, reward, terminated, truncated


def _collected(taken: Sequence[Taken], begins: bool, device: torch.device) -> Collected:
    """Return transitions on the device; `begins` says whether the first does not continue an episode."""
    state, action, mu, next_state, reward, terminated, truncated = map(np.array, zip(*taken, strict=True))
    rows = to_device(
        {
            "state": state,
            "action": action,
            "reward": reward.astype(np.float32),
            "next_state": next_state,
            "terminated": terminated,
            "truncated": truncated,
            "log_behaviour": mu.astype(np.float32),
        },
        device,
    )
    rows["log_behaviour"] = rows["log_behaviour"].log()
    ends = torch.from_numpy(terminated | truncated)
    links = torch.zeros(len(ends), dtype=torch.int64), torch.cat([torch.tensor([begins]), ends[:-1]]), ends
    return Collected(Transitions(**rows, weight=torch.ones_like(rows["reward"])), *links)
