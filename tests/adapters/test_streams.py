"""Several environments are several streams, whatever adapter they come through; and what is taken besides arrays.

Cost: 5 s.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize, VecTransposeImage

import gio_pyro.envs  # noqa: F401 - registers the rooms
from gio_pyro import IntrinsicReward
from gio_pyro.adapters.gymnasium import IntrinsicVector
from gio_pyro.adapters.stable_baselines import IntrinsicReplayBuffer, IntrinsicVecEnv
from gio_pyro.collection import samples
from gio_pyro.errors import InputError
from tests.empowerment.test_options import Counter

SMALL: dict[str, Any] = {"hidden": (8,), "updates": 1, "batch_size": 8}


class Ragged(Counter):
    """Episodes of each environment's own length, so that streams begin and end at different times."""

    made = 0

    def __init__(self) -> None:
        super().__init__(length=3 + Ragged.made % 4, cut=Ragged.made % 2 == 1)
        Ragged.made += 1


def through(adapter: str, count: int, reward: IntrinsicReward) -> None:
    """Let an adapter see 40 random steps of `count` environments."""
    Ragged.made = 0
    if adapter == "VecEnv":
        venv = IntrinsicVecEnv(DummyVecEnv([Ragged] * count), reward, update_every=16)
        venv.reset()
        for _ in range(40):
            venv.step(np.array([venv.action_space.sample() for _ in range(count)]))
        return
    if adapter == "buffer":
        agent = DQN(
            "MlpPolicy", DummyVecEnv([Ragged] * count), replay_buffer_class=IntrinsicReplayBuffer, buffer_size=400,
            replay_buffer_kwargs={"reward": reward, "update_every": 16}, learning_starts=1_000, device="cpu",
        )  # fmt: skip
        agent.learn(40 * count)
        return
    vector = SyncVectorEnv([Ragged] * count, autoreset_mode=AutoresetMode(adapter))
    env = IntrinsicVector(vector, reward, update_every=16)
    env.reset(seed=0)
    for _ in range(40):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if adapter == "Disabled" and (terminated | truncated).any():
            env.reset(options={"reset_mask": terminated | truncated})


@pytest.mark.parametrize("adapter", ["NextStep", "SameStep", "Disabled", "VecEnv", "buffer"])
@pytest.mark.parametrize("signal", ["Control", "Reachability(near=1)"])
def test_what_follows_a_transition_came_next_in_its_own_environment(adapter: str, signal: str):
    """Every transition is in replay once, and all that were followed by another of their episode are linked to it."""
    reward = IntrinsicReward(Counter(), signal=signal, **SMALL)
    through(adapter, 4, reward)
    if signal == "Control":
        reward.update(dict.fromkeys(samples.KEYS, np.zeros((1, 1), int)))  # what waits is taken in by the next update
    pieces = reward.replay.sequences(None, 2)
    both = pieces.valid.all(1)
    assert torch.equal(pieces.steps.next_state[both, 0], pieces.steps.state[both, 1])
    rows = reward.replay.all()
    kept = len(rows) - (signal == "Control")
    ended = int((rows.terminated | rows.truncated).sum())
    assert kept >= 100
    assert int(both.sum()) >= kept - ended - 4
    assert int((rows.state == 0).sum()) >= len(rows.episode.unique())


class Ring(gym.Env[Any, Any]):
    """Eight places in a ring and three moves: what two of them do is seen in five places, E_2 = log 5 everywhere."""

    observation_space, action_space = Discrete(8), Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = int(self.np_random.integers(8))
        return self.at, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.at = (self.at + int(action) - 1) % 8
        return self.at, 0.0, False, False, {}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
def test_empowerment_is_learned_as_well_from_four_environments_as_from_one(count: int):
    reward = IntrinsicReward(Ring(), signal="Empowerment(2, rest=100)", hidden=(32,), updates=250, batch_size=8, seed=1)
    env = IntrinsicVector(SyncVectorEnv([Ring] * count), reward, update_every=1_600)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(1_600 // count):
        env.step(env.action_space.sample())
    at = np.arange(8)[:, None]
    paid = reward.compute(dict.fromkeys(samples.KEYS, np.zeros((8, 1), int)) | {"next_observations": at})
    assert float(paid.mean()) == pytest.approx(np.log(5), abs=0.15)


class Sensors(gym.Env[Any, Any]):
    """Nested observations, pictures among them."""

    observation_space = Dict(
        {"arm": Box(-1, 1, (3,)), "room": Discrete(4), "eye": Box(0, 255, (36, 36, 3), np.uint8)}
    )  # fmt: skip
    action_space = Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.taken = 0
        return self.observation_space.sample(), {}

    def step(self, action: int) -> Any:
        self.taken += 1
        return self.observation_space.sample(), 1.0, False, self.taken >= 10, {}


@pytest.mark.parametrize("signal", ["Control", "Reachability"])
def test_dictionaries_go_through_every_adapter(signal: str):
    def plug() -> IntrinsicReward:
        return IntrinsicReward(Sensors(), signal=signal, **SMALL)

    world = IntrinsicVector(SyncVectorEnv([Sensors] * 2), plug(), update_every=8)
    world.reset(seed=0)
    for _ in range(5):
        *_, info = world.step(world.action_space.sample())
    assert np.isfinite(info["intrinsic_reward"]).all()
    venv = IntrinsicVecEnv(DummyVecEnv([Sensors] * 2), plug(), update_every=8)
    PPO("MultiInputPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, device="cpu").learn(16)
    buffer = DQN(
        "MultiInputPolicy", DummyVecEnv([Sensors]), replay_buffer_class=IntrinsicReplayBuffer, buffer_size=20,
        replay_buffer_kwargs={"reward": plug(), "update_every": 8}, learning_starts=100, device="cpu",
    ).learn(12).replay_buffer  # fmt: skip
    assert isinstance(buffer, IntrinsicReplayBuffer)
    assert bool(buffer.sample(6).rewards.isfinite().all())


def given(change: Any = lambda x: x) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    seen = [{"arm": generator.random((5, 2, 3)), "room": generator.integers(0, 4, (5, 2))} for _ in range(2)]
    flags = np.zeros((5, 2), bool)
    return {
        "observations": {key: change(x) for key, x in seen[0].items()},
        "next_observations": {key: change(x) for key, x in seen[1].items()},
        "actions": change(generator.integers(0, 3, (5, 2))),
        "rewards": change(np.ones((5, 2))),
        "terminateds": change(flags),
        "truncateds": change(flags),
    }


TWO = Dict({"arm": Box(-1, 1, (3,)), "room": Discrete(4)})


class Two(Sensors):
    observation_space = TWO


@pytest.mark.parametrize(
    "change",
    {
        "float64": lambda x: x.astype(np.float64),
        "an axis of its own": lambda x: x if x.shape[2:] == (3,) else x[..., None],
        "tensors": torch.as_tensor,
        "tensors with gradients": lambda x: torch.as_tensor(x.astype(np.float64)).requires_grad_(),
        "lists": lambda x: x.tolist(),
    }.values(),
)
def test_observations_are_taken_in_whichever_kind_a_buffer_keeps_them(change: Any):
    reward = IntrinsicReward(Two(), **SMALL)
    reward.update(given(change))
    paid = reward.compute(given(change))
    assert isinstance(paid, torch.Tensor) == isinstance(change(np.ones((5, 2))), torch.Tensor)
    plain = IntrinsicReward(Two(), **SMALL)
    plain.update(given())
    assert np.allclose(np.asarray(paid), plain.compute(given()))


def test_tuples_are_taken_and_a_missing_entry_is_named():
    class Pair(Sensors):
        observation_space = Tuple([Box(-1, 1, (3,)), Discrete(4)])

    rows = given()
    rows |= {key: (rows[key]["arm"], rows[key]["room"]) for key in ("observations", "next_observations")}
    assert IntrinsicReward(Pair(), **SMALL).compute(rows).shape == (5, 2)
    with pytest.raises(InputError, match=r"^Expected observations with the entries arm, room, but got KeyError"):
        IntrinsicReward(Two(), **SMALL).compute(given() | {"observations": {"arm": np.zeros((5, 2, 3))}})


def test_pieces_of_any_size_are_read_alike_and_no_more_at_once(monkeypatch: pytest.MonkeyPatch):
    largest = []

    def plug() -> IntrinsicReward:
        reward = IntrinsicReward("CartPole-v1", **SMALL)
        reward.signal.register_forward_pre_hook(lambda module, rows: largest.append(len(rows[0])))
        return reward

    zero, generator = np.zeros((300, 4)), np.random.default_rng(0)
    rows = dict.fromkeys(samples.KEYS, zero) | {
        key: generator.random((300, 4, 4)) for key in ("observations", "next_observations")
    }
    whole, pieces = plug(), plug()
    monkeypatch.setattr(samples, "AT_ONCE", 10_000)
    whole.update(rows)
    first = whole.compute(rows)
    monkeypatch.setattr(samples, "AT_ONCE", 64)
    largest.clear()
    pieces.update(rows)
    assert np.allclose(pieces.compute(rows), first, atol=1e-4)
    assert max(largest) == 64
    wrong = rows | {"rewards": np.where(np.arange(300)[:, None] == 299, np.nan, zero)}
    kept = len(pieces.replay)
    with pytest.raises(InputError, match="Expected finite rewards"):
        pieces.update(wrong)
    assert len(pieces.replay) == kept


def test_spaces_are_compared_when_an_adapter_is_made():
    stacked = VecFrameStack(make_vec_env("CartPole-v1", 2), 4)
    with pytest.raises(InputError, match=r"^Expected observations of float32 Box\(4,\), of which the reward was made,"):
        IntrinsicVecEnv(stacked, IntrinsicReward("CartPole-v1", **SMALL))
    with pytest.raises(InputError, match=r"^Expected observations of .*; make the reward from what it wraps\.$"):
        IntrinsicVector(gym.make_vec("Pendulum-v1", 2, "sync"), IntrinsicReward("CartPole-v1", **SMALL))
    made = IntrinsicVecEnv(stacked, IntrinsicReward(stacked, **SMALL), update_every=4)
    made.reset()
    for _ in range(3):
        made.step(np.zeros(2, int))
    pictures = VecTransposeImage(DummyVecEnv([lambda: gym.make("gio/Rooms-v0", observations="pixels")]))
    moved = IntrinsicVecEnv(pictures, IntrinsicReward(gym.make("gio/Rooms-v0", observations="pixels"), **SMALL))
    moved.reset()
    assert moved.step(np.zeros(1, int))[1].shape == (1,)


def test_what_a_reward_sees_is_normalised_where_it_wraps_what_normalises():
    shown: list[float] = []
    reward = IntrinsicReward("Pendulum-v1", **SMALL)
    reward.signal.register_forward_pre_hook(lambda module, rows: shown.append(float(rows[0].state.abs().max())))
    venv = IntrinsicVecEnv(VecNormalize(make_vec_env("Pendulum-v1", 2), clip_obs=0.5), reward)
    venv.reset()
    for _ in range(5):
        venv.step(np.zeros((2, 1), "f"))
    assert max(shown) <= 0.5
