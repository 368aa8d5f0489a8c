"""What does not go with a world model has its sentence, and beliefs that are not finite stop learning."""

from typing import Any

import gymnasium as gym
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import gio_pyro as gio
from gio_pyro import diagnostics
from gio_pyro.agent.together import learn_seeds
from gio_pyro.beliefs.behaviour import MOST_LOST
from gio_pyro.beliefs.bound import mean_field_bound
from gio_pyro.beliefs.construction import world_of
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.errors import GioError, InputError, ProgramError, TrainingError
from gio_pyro.types import Seen, WorldSpec
from tests.beliefs.agents import SMALL, Rewarded, Short, Tiny, small
from tests.cli.shell import train
from tests.masked import Board


class Unnamed(Tiny):
    filter: Any = None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"world_model": None, "filter": "RecurrentFilter"}, "a filter beside a world model, but got RecurrentFilter"),
        ({"world_model": Unnamed}, "a filter for the world model Unnamed, but it names none; pass filter="),
        ({"world_model": "RecurentStateSpace"}, r"a world model named .*did you mean RecurrentStateSpace\?"),
        ({"filter": "RecurentFilter"}, r"a filter named .*did you mean RecurrentFilter\?"),
        ({"world_model": 3}, "a world model: a name, a class or a callable, but got 3"),
        ({"world_model": "FiniteStateSpace"}, "a Discrete observation space"),
        ({"filter": "KalmanFilter"}, "a linear-Gaussian world model for KalmanFilter"),
        ({"burn_in": 6, "piece_length": 6}, "piece_length above burn_in"),
        ({"objective": "nothing"}, "nothing"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], words: str):
    with pytest.raises(GioError, match=words) as found:
        small(**arguments)
    assert len(str(found.value)) <= 300


@pytest.mark.parametrize("shows", ["vector", "number", "dict"])
def test_action_masks_are_refused(shows: str):
    with pytest.raises(InputError, match="without action masks for an agent with a world model"):
        small(Board(shows))


def test_finite_observations_leave_no_mask_in_the_beliefs():
    agent = small(gym.make("FrozenLake-v1"))
    assert agent.spec.masks is None
    assert agent.spec.mask_width == 0
    agent.learn(20)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--filter", "RecurrentFilter"), "Expected a filter beside a world model"),
        (("--world-model", "RecurentStateSpace"), "did you mean RecurrentStateSpace?"),
        (("--world-model", "RecurrentStateSpace", "--piece-length", 4, "--burn-in", 4), "piece_length above burn_in"),
        (("--world-model", "FiniteStateSpace"), "a Discrete observation space"),
    ],
)
def test_mistakes_on_the_command_line(flags: tuple[Any, ...], words: str, capsys: pytest.CaptureFixture[str]):
    assert train("CartPole-v1", *flags, steps=5) != 0
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_seeds_with_a_world_model_do_not_learn_together():
    with pytest.raises(InputError, match="agents without a world model, but got one of Tiny"):
        learn_seeds("CartPole-v1", [0, 1], 10, **{name: value for name, value in SMALL.items() if name != "seed"})


@pytest.mark.parametrize(
    "others",
    [
        {"explorer": "Signal", "signal": "PredictionError"},
        {"explorer": "Goals(horizon=4)", "signal": "PredictionError"},
        {"signal": "Reachability"},
        {"future": "NextStateAndReward()"},
        {"future": "Return(3)"},
        {"objective": "trajectory_elbo"},
        {"objective": "Trace_ELBO"},
        {"dream_horizon": 2, "dream_share": 0.5},
        {"gradient_steps": 0},
        {"pieces": 1},
    ],
    ids=str,
)
def test_what_reads_states_reads_beliefs(others: dict[str, Any]):
    agent = small(**others).learn(40)
    assert all(np.isfinite(value) for name, value in agent.metrics().items() if name.startswith("train"))


def test_there_is_nothing_exact_to_compare_with():
    agent = small(gym.make("FrozenLake-v1")).learn(8)
    assert diagnostics.exact_world(agent) is None
    with pytest.raises(InputError, match="its states are beliefs of a world model"):
        diagnostics.compare_with_exact(agent)


def test_no_steps():
    agent = small().learn(0)
    assert len(agent.replay) == 0
    assert agent.predict(np.zeros(2, np.float32))[1].shape == (1, agent.beliefs.world.size + 1)


@pytest.mark.parametrize(
    ("state", "got"),
    [
        (lambda state: state[:, :-1], r"an array \(1, 10\)"),
        (lambda state: state[0], "a numpy array|array"),
        (lambda state: np.repeat(state, 2, 0), r"an array \(2, 11\)"),
        (lambda state: state * np.nan, r"an array \(1, 11\)"),
        (lambda state: "x", "'x'"),
        (lambda state: {"a": 1}, "'a'"),
        (lambda state: object(), "object"),
    ],
)
def test_a_state_of_another_kind(state: Any, got: str):
    agent = small()
    seen = np.zeros(2, np.float32)
    _, kept = agent.predict(seen)
    with pytest.raises(InputError, match="the state that predict returned for 1 observations") as found:
        agent.predict(seen, state(kept))
    assert len(str(found.value)) <= 300


def test_flags_and_observations_of_another_kind():
    agent = small()
    seen = np.zeros(2, np.float32)
    _, kept = agent.predict(seen)
    with pytest.raises(InputError, match="episode_start for each of 1 observations, but got 2"):
        agent.predict(seen, kept, [True, False])
    with pytest.raises(InputError, match="a finite observation"):
        agent.predict(seen * np.nan, kept)


def test_an_observation_that_is_not_finite_is_the_environments_error():
    class Broken(Short):
        def step(self, action: Any) -> Any:
            found = super().step(action)
            return found[0] * np.float32("nan"), *found[1:]

    with pytest.raises(TrainingError, match="finite observation"):
        small(Broken()).learn(5)


# beliefs that are not finite


class Sometimes(Rewarded):
    """Its belief is NaN wherever the observation exceeds a bound."""

    bound = 2.0

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        after = super().forward(belief, action, seen)
        bad = seen.observation[:, :1] > self.bound
        return after if action is None else torch.where(bad, torch.nan, after)


class Loud(Short):
    """Shows numbers of a size of its own."""

    def __init__(self, size: float, longest: int = 7) -> None:
        super().__init__(longest)
        self.size = size

    def _seen(self) -> Any:
        return super()._seen() * 0 + np.float32(self.size)


def patched(filter: type, environment: Any, **others: Any) -> gio.GIO:
    """An agent whose filter passes the checks, in an environment in which it fails."""
    return small(environment, filter=filter, **{"batch_size": 900, "learning_starts": 1_000} | others)


class Rare(Sometimes):
    bound = 20.0


def test_a_belief_that_is_lost_begins_anew_and_is_counted():
    class Now(Short):
        def _seen(self) -> Any:
            found = super()._seen()
            return found * np.float32(0) + np.float32(30) if self.np_random.random() < 0.2 else found

    agent = patched(Rare, Now())
    agent.learn(60)
    count = agent.metrics()["rollout/beliefs_restarted"]
    assert 0 < count < 30
    assert bool(agent.beliefs.running.belief.isfinite().all())
    before = agent.metrics()["replay/beliefs_not_finite"]
    assert bool(agent.replay.all().state.isfinite().all())
    assert agent.metrics()["replay/beliefs_not_finite"] > before


def test_beliefs_that_are_lost_at_every_step_stop_learning():
    agent = patched(Rare, Loud(30.0, longest=400))
    with pytest.raises(
        TrainingError, match=f"from Rare, but they were NaN or infinite at each of the last {MOST_LOST}"
    ):
        agent.learn(600)
    with pytest.raises(TrainingError):
        agent.learn(600)  # again


class AtOnce(Rewarded):
    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        after = super().forward(belief, action, seen)
        return torch.where(seen.observation[:, :1] > 20.0, torch.nan, after)


def test_a_first_belief_that_is_not_finite_stops_learning_at_once():
    agent = patched(AtOnce, Loud(30.0))
    with pytest.raises(TrainingError, match="a finite belief from AtOnce at the first step of an episode"):
        agent.learn(1)
    with pytest.raises(TrainingError, match="a finite belief from AtOnce"):
        agent.predict(np.full(2, 30.0, np.float32))


def test_a_fit_that_is_not_finite_is_reported():
    agent = patched(Rare, Loud(30.0), batch_size=8, learning_starts=12)
    with pytest.raises(TrainingError, match="finite"):
        agent.learn(200)


def test_predict_begins_a_lost_belief_anew_as_the_behaviour_does():
    agent = patched(Rare, Short())
    seen = np.full(2, 30.0, np.float32)
    _, first = agent.predict(seen, deterministic=True)
    _, later = agent.predict(seen, first, deterministic=True)
    np.testing.assert_array_equal(first, later)


def test_a_bound_without_a_counted_instant_is_zero():
    spec = WorldSpec(Short().observation_space, Short().action_space, (8,))
    world = world_of(Tiny, Rewarded, spec)
    no = torch.zeros(2, 3, dtype=torch.bool)
    piece = Piece(
        torch.zeros(2, 2), no.long(), torch.zeros(2, 3, 2), torch.zeros(2, 3), no, no, torch.zeros(2, dtype=torch.bool)
    )
    bound = mean_field_bound(world, piece, 2)
    bound.backward()
    assert float(bound.detach()) == 0.0


def test_a_parameter_that_exists_only_with_data_is_trained():
    def world(belief: Tensor, action: Tensor | None, seen: Seen | None = None) -> None:
        with pyro.plate("batch", len(belief)):
            z = pyro.sample("state", dist.Normal(torch.zeros(len(belief), 1), 1.0).to_event(1))
            shift = pyro.param("shift", torch.zeros(2)) if seen is not None else torch.zeros(2)
            x = dist.Normal(z + shift, 1.0).to_event(1)
            pyro.sample("observation", x, obs=None if seen is None else seen.observation)

    class Plain(Rewarded):
        def __init__(self, spec: WorldSpec) -> None:
            torch.nn.Module.__init__(self)
            self.net = torch.nn.Linear(2, 2)

        def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
            with pyro.plate("batch", len(belief)):
                pyro.sample("state", dist.Normal(self.net(seen.observation)[:, :1], 1.0).to_event(1))
            return seen.observation

    world.belief_size = 2  # type: ignore[attr-defined]
    agent = small(world_model=world, filter=Plain)
    agent.learn(40)
    shift = next(iter(agent.beliefs.world.model.stored.values()))
    assert bool((shift != 0).all())


def test_a_filter_is_given_no_reward_in_predict():
    class Wants(Rewarded):
        def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
            return super().forward(belief, action, seen) + (0.0 if action is None else seen.reward[:, None])  # type: ignore[index]

    with pytest.raises(ProgramError, match=r"where seen\.reward is None, as in predict"):
        small(filter=Wants)
