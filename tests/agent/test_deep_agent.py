"""The same loop where the world is not finite: spaces, vectors, seeds, and what is told when something goes astray."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch.utils._python_dispatch import TorchDispatchMode

import gio_pyro as gio
from gio_pyro.errors import EntropyCollapseWarning, InputError, ProgramError, TrainingError
from tests.agents import differences, untouched

SMALL: dict[str, Any] = {"learning_starts": 40, "batch_size": 16, "hidden": (8, 8), "log_interval": 30}

OBSERVATIONS = {
    "vector": Box(-1.0, 1.0, (3,)),
    "matrix": Box(-1.0, 1.0, (2, 2)),
    "image": Box(0, 255, (8, 8, 3), np.uint8),
    "discrete": Discrete(5, start=2),
    "multidiscrete": MultiDiscrete([2, 3]),
    "dictionary": Dict({"place": Box(-1.0, 1.0, (2,)), "door": Discrete(3)}),
}
ACTIONS = {"discrete": Discrete(3, start=-1), "multidiscrete": MultiDiscrete([2, 3]), "box": Box(-2.0, 1.0, (2, 1))}


class Anything(gym.Env[Any, Any]):
    """Draws observations from a space and checks that actions are of theirs; `spoil(step)` changes the reward."""

    def __init__(self, observations: Any, actions: Any, spoil: Any = None) -> None:
        self.observation_space, self.action_space, self.spoil = observations, actions, spoil
        self.taken = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.taken += 1
        reward = 1.0 if self.spoil is None else self.spoil(self.taken)
        return self.observation_space.sample(), reward, self.taken % 7 == 0, self.taken % 11 == 0, {}


def deep(env: Any = "Pendulum-v1", **settings: Any) -> gio.GIO:
    return gio.GIO(env, **(SMALL | settings))


@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.parametrize("observations", OBSERVATIONS)
def test_every_pair_of_spaces_is_learned_on(observations: str, actions: str):
    if (observations, actions) in {("discrete", "discrete"), ("discrete", "multidiscrete")}:
        pytest.skip("a finite world, learned as tables")
    env = Anything(OBSERVATIONS[observations], ACTIONS[actions])
    agent = deep(env).learn(60)
    assert agent.steps == 60
    assert np.isfinite(agent.metrics()["train/critic_loss"])
    action, state = agent.predict(env.observation_space.sample(), deterministic=True)
    assert env.action_space.contains(action)
    assert state is None


@pytest.mark.parametrize("name", ["vector", "image", "dictionary"])
def test_a_batch_of_observations_gives_a_batch_of_actions(name: str):
    space = OBSERVATIONS[name]
    env = Anything(space, ACTIONS["box"])
    batch = gym.vector.utils.batch_space(space, 4).sample()
    action, _ = deep(env).predict(batch)
    assert action.shape == (4, 2, 1)
    assert all(env.action_space.contains(one) for one in action)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("world", ["Pendulum-v1", "CartPole-v1"])
def test_a_vector_of_environments_is_learned_on(world: str, mode: AutoresetMode):
    env = SyncVectorEnv([lambda: gym.make(world, max_episode_steps=9)] * 3, autoreset_mode=mode)
    agent = deep(env).learn(120)
    assert 120 <= agent.steps < 123
    assert len(agent.replay) == agent.steps
    assert agent.evaluate(2).lengths == (9, 9)
    pieces = agent.replay.sequences(64, 12)
    inside = pieces.valid[:, 1:]
    assert torch.equal(pieces.steps.state[:, 1:][inside], pieces.steps.next_state[:, :-1][inside])
    assert int(pieces.valid.sum(-1).max()) == 9


def test_one_seed_fixes_everything():
    assert not differences(deep(seed=3).learn(50), deep(seed=3).learn(50))


def test_another_seed_changes_everything():
    found = differences(deep(seed=3).learn(50), deep(seed=4).learn(50))
    assert {"/replay/rows/state", "/control/policy.net.0.weight", "/random/cpu"} <= set(found)


def test_two_agents_in_turn_are_as_each_alone():
    first, second = deep(seed=1), deep("CartPole-v1", seed=2)
    for _ in range(3):
        first.learn(18)
        second.learn(20)
    assert not differences(first, deep(seed=1).learn(18).learn(18).learn(18))
    assert not differences(second, deep("CartPole-v1", seed=2).learn(20).learn(20).learn(20))


def test_looking_changes_nothing():
    def look(agent: gio.GIO, metrics: dict[str, float]) -> None:
        agent.metrics()
        agent.intrinsic_reward(agent.replay.latest(3).state)
        agent.predict(np.zeros(3, dtype=np.float32))

    found = differences(deep().learn(60, callback=look), deep().learn(60))
    assert [place for place in found if not place.startswith("/playing")] == []


def test_the_users_generators_stores_and_settings_stay_as_they_were():
    with untouched():
        deep().learn(60)


@pytest.mark.parametrize("temperature", [0.3, "auto", "auto:0.05", "linear:1:0.1:50"])
def test_every_kind_of_temperature_is_used_and_reported(temperature: float | str):
    alpha = deep(temperature=temperature).learn(60).metrics()["train/ent_coef"]
    if temperature == 0.3 or str(temperature).startswith("linear"):
        assert alpha == pytest.approx({0.3: 0.3}.get(temperature, 0.1))
    else:
        assert alpha != pytest.approx(1.0 if temperature == "auto" else 0.05, rel=1e-4)


@pytest.mark.parametrize("intrinsic", ["imagined", "replayed"])
@pytest.mark.parametrize("objective", ["elbo", "joint_elbo", "forward_kl", "sleep", "wake_sleep"])
@pytest.mark.parametrize("world", ["Pendulum-v1", "CartPole-v1"])
def test_every_objective_and_reading_learns(world: str, objective: str, intrinsic: str):
    agent = deep(world, objective=objective, intrinsic=intrinsic).learn(50)
    assert all(bool(torch.isfinite(p).all()) for p in agent.policy.parameters())


@pytest.mark.parametrize("guide", ["UniformGuide", "BayesGuide", "CategoricalNetworkGuide", "MarginalGuide"])
def test_guides_of_finite_actions_swap(guide: str):
    assert deep("CartPole-v1", guide=guide).learn(60).steps == 60


def test_only_programs_are_fitted_while_the_agent_warms_up():
    agent = deep(learning_starts=60, train_freq=10)
    policy = [p.clone() for p in agent.policy.parameters()]
    model = [p.clone() for p in agent.model.parameters()]
    agent.learn(50)
    assert all(torch.equal(p, q) for p, q in zip(policy, agent.policy.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(model, agent.model.parameters(), strict=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_reward_that_is_not_finite_stops_with_one_sentence(bad: float):
    env = Anything(OBSERVATIONS["vector"], ACTIONS["box"], spoil=lambda step: bad if step == 45 else 1.0)
    with pytest.raises(TrainingError, match="finite reward"):
        deep(env).learn(60)


def test_a_loss_that_is_not_finite_stops_with_one_sentence_and_spoils_no_parameter():
    agent = deep().learn(60)
    agent.replay._rows["reward"][:] = torch.nan
    with pytest.raises(TrainingError, match="Expected finite losses, but got NaN"):
        agent.learn(60)
    assert all(bool(torch.isfinite(p).all()) for p in agent.actor_critic.critic.parameters())


def test_futures_without_a_pathwise_gradient_are_refused_where_actions_are_continuous():
    class Steps(torch.nn.Module):
        def __init__(self, spec: gio.Spec) -> None:
            super().__init__()
            self.size = spec.future_space.shape[0]

        def forward(self, policy: Any, state: Any, future: Any = None) -> Any:
            import pyro
            import pyro.distributions as dist

            pyro.sample("action", policy(state))
            rate = torch.ones(len(state), self.size)
            return pyro.sample("future", dist.Poisson(rate).to_event(1), obs=future)

    with pytest.raises(ProgramError, match="reparameterised"):
        deep(model=Steps)


ASKS_THE_HOST = ("_local_scalar_dense", "nonzero", "equal", "_unique2", "unique_dim", "is_nonzero", "masked_select")


class NeverAsking(TorchDispatchMode):
    """Fails at operations whose result the host has to know: on a GPU it would wait for the device there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in ASKS_THE_HOST, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.parametrize("observations", OBSERVATIONS)
@pytest.mark.parametrize("settings", [{}, {"intrinsic": "replayed"}], ids=str)
def test_an_update_asks_the_host_for_nothing(observations: str, actions: str, settings: dict[str, Any]):
    if (observations, actions) in {("discrete", "discrete"), ("discrete", "multidiscrete")}:
        pytest.skip("a finite world, learned as tables")
    agent = deep(Anything(OBSERVATIONS[observations], ACTIONS[actions]), **settings).learn(45)
    with agent._private(), NeverAsking():
        agent._update(improvements=1)


@pytest.mark.slow
def test_a_falling_temperature_does_not_make_old_values_look_divergent():
    """Q still holds what the larger α paid."""
    agent = deep(temperature="linear:1:0.00001:150", guide="UniformGuide", log_interval=50)
    agent.largest_reward = 0.0
    agent.learn(50)
    before = agent.largest_paid
    assert before > 0.1
    agent.learn(150)
    assert agent.largest_paid >= before


def test_an_unknown_reading_is_refused():
    with pytest.raises(InputError, match="imagined, replayed"):
        deep(intrinsic="dreamt")


def test_a_warning_of_the_training_monitor_reaches_the_user():
    agent = deep().learn(60)
    agent.monitor.least_entropy = 100.0
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        agent.learn(30)
    assert [warning.category for warning in told] == [EntropyCollapseWarning]
