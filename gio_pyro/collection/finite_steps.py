"""Steps of one environment with finitely many states and actions, without tensors and arrays for each step.

Arrays of one number take most of the time of such a step. Here its numbers are Python's, and a round becomes tensors at
its end. Checks, recorded episodes, statistics and random numbers are those of `Collector`'s other steps.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

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


@dataclass
class _Columns:
    """The fields of the transitions of a round, as lists of numbers."""

    state: list[int] = field(default_factory=list)
    action: list[int] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    next_state: list[int] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    terminated: list[bool] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)

    def add(self, *values: Any) -> None:
        """Append one transition, its values in the order of the fields."""
        self.state.append(values[0])
        self.action.append(values[1])
        self.probability.append(values[2])
        self.next_state.append(values[3])
        self.reward.append(values[4])
        self.terminated.append(values[5])
        self.truncated.append(values[6])

    def collected(self, begins: bool, device: torch.device) -> Collected:
        """Return the transitions on the device; `begins` says whether the first does not continue an episode."""
        terminated, truncated = np.array(self.terminated), np.array(self.truncated)
        rows = to_device(
            {
                "state": np.array(self.state),
                "action": np.array(self.action),
                "reward": np.array(self.reward, dtype=np.float64).astype(np.float32),
                "next_state": np.array(self.next_state),
                "terminated": terminated,
                "truncated": truncated,
                "log_behaviour": np.array(self.probability, dtype=np.float32),
            },
            device,
        )
        rows["log_behaviour"] = rows["log_behaviour"].log()
        ends = torch.from_numpy(terminated | truncated)
        first = torch.tensor([begins])
        links = torch.zeros(len(ends), dtype=torch.int64), torch.cat([first, ends[:-1]]), ends
        return Collected(Transitions(**rows, weight=torch.ones_like(rows["reward"])), *links)


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
        columns = _Columns()
        ended = False
        for uniform in torch.rand(steps, dtype=torch.float64).tolist():
            if ended:
                state = int(environments.reset(None)[0])
            action, probability = behaviour.at_quantile(state, uniform, device)
            next_state, reward, terminated, truncated = self._step(action)
            columns.add(state, action, probability, next_state, reward, terminated, truncated)
            ended, state = terminated or truncated, next_state
        environments.states = np.array([state])
        return columns.collected(begins, device)

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
