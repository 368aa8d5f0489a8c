"""The reward in somebody else's loop: what it pays, what it leaves alone, and what it refuses.

Cost: 8 s.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import gio_pyro.envs  # noqa: F401 - registers the worlds
from gio_pyro import IntrinsicReward, tabular
from gio_pyro.errors import CheckpointError, InputError
from gio_pyro.futures import StateAfter
from gio_pyro.signals import NAMES
from tests.agents import untouched
from tests.empowerment.test_options import Counter

SMALL: dict[str, Any] = {"hidden": (8,), "updates": 3, "batch_size": 16}


def samples(env: gym.Env[Any, Any], steps: int, count: int = 1, seed: int = 0) -> dict[str, Any]:
    """What a loop of uniform actions collects in `count` copies, one after the other."""
    streams = []
    for number in range(count):
        env.action_space.seed(seed + number)
        seen, _ = env.reset(seed=seed + number)
        rows = []
        for _ in range(steps):
            action = env.action_space.sample()
            after, reward, terminated, truncated, _ = env.step(action)
            rows.append((seen, action, reward, terminated, truncated, after))
            seen = env.reset()[0] if terminated or truncated else after
        streams.append([np.stack(column) for column in zip(*rows, strict=True)])
    names = ("observations", "actions", "rewards", "terminateds", "truncateds", "next_observations")
    return {name: np.stack(columns, 1) for name, columns in zip(names, zip(*streams, strict=True), strict=True)}


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize(("steps", "count"), [(1, 1), (5, 1), (3, 4)])
def test_every_transition_is_paid_a_finite_number(name: str, steps: int, count: int):
    given = samples(gym.make(name), steps, count)
    reward = IntrinsicReward(name, **SMALL)
    with untouched():
        figures = reward.update(given)
        paid = reward.compute(given)
    assert paid.shape == (steps, count)
    assert np.isfinite(paid).all()
    assert set(figures) >= {"dynamics_nats", "guide_nats"}


def test_computing_changes_nothing():
    given = samples(gym.make("CartPole-v1"), 20)
    reward, alone = (IntrinsicReward("CartPole-v1", **SMALL) for _ in range(2))
    reward.update(given)
    alone.update(given)
    first, second = reward.compute(given), reward.compute(given)
    assert np.array_equal(first, second)
    reward.update(given)
    alone.update(given)
    assert np.array_equal(reward.compute(given), alone.compute(given))


def test_on_average_it_pays_the_mutual_information():
    """Uniform actions on a slippery line: in each state the exact information of a uniform source."""
    env = gym.make("gio/SlipperyLine-v0", length=4, slip=0.1)
    reward = IntrinsicReward(env, guide="BayesGuide", updates=400)
    given = samples(env, 4_000)
    reward.update(given)
    paid = reward.compute(given)[:, 0]
    mdp = tabular.TabularMDP.from_env(env)
    exact = tabular.mutual_information(mdp.transition, torch.full((4, 2), 0.5))
    for state in range(3):
        met = given["observations"][:, 0] == state
        assert float(paid[met].mean()) == pytest.approx(float(exact[state]), abs=0.06)


def test_tensors_come_back_as_tensors():
    given = {key: torch.as_tensor(value) for key, value in samples(gym.make("CartPole-v1"), 4, 2).items()}
    assert isinstance(IntrinsicReward("CartPole-v1", **SMALL).compute(given), torch.Tensor)


@pytest.mark.parametrize("signal", list(NAMES))
@pytest.mark.parametrize("name", ["FrozenLake-v1", "CartPole-v1"])
def test_any_signal_may_pay_and_goes_on_bit_for_bit(name: str, signal: str):
    knowing = "DirichletModel" if name == "FrozenLake-v1" else "BayesianModel"
    settings = SMALL | {"signal": signal, "model": knowing if signal in ("Disagreement", "InformationGain") else None}
    env = gym.make(name)
    first, second = samples(env, 6, 2), samples(env, 6, 2, seed=5)
    whole, half, other = (IntrinsicReward(name, **settings) for _ in range(3))
    before = [parameter.clone() for parameter in whole.model.parameters()]
    for reward in (whole, half):
        reward.update(first)
    stays = all(map(torch.equal, before, whole.model.parameters()))
    assert stays or whole.signal.reads_programs
    paid = whole.compute(second)
    assert paid.shape == (6, 2)
    assert np.isfinite(paid).all()
    other.load_state_dict(half.state_dict())
    for reward in (whole, other):
        reward.update(second)
    assert np.array_equal(whole.compute(second), other.compute(second))


def test_what_follows_is_of_the_same_environment_and_the_same_episode():
    env = Counter(length=3)
    reward = IntrinsicReward(env, signal="Empowerment(2)", **SMALL)
    for seed in (0, 1):
        reward.update(samples(env, 7, 3, seed=seed))
    pieces = reward.replay.sequences(None, 2)
    both = pieces.valid.all(1)
    assert both.any()
    assert torch.equal(pieces.steps.next_state[both, 0], pieces.steps.state[both, 1])
    assert int(both.sum()) == 2 * 3 * 4  # of 7 steps in episodes of 3, four are followed by another


@pytest.mark.parametrize("name", ["FrozenLake-v1", "Pendulum-v1"])
def test_what_was_saved_goes_on_bit_for_bit(name: str):
    first, second = samples(gym.make(name), 10), samples(gym.make(name), 10, seed=5)
    whole, half = IntrinsicReward(name, **SMALL), IntrinsicReward(name, **SMALL)
    whole.update(first)
    half.update(first)
    other = IntrinsicReward(name, **SMALL, seed=3)
    other.load_state_dict(half.state_dict())
    whole.update(second)
    other.update(second)
    assert np.array_equal(whole.compute(second), other.compute(second))


def test_the_state_of_another_reward_is_refused():
    with pytest.raises(
        CheckpointError, match=r"^Expected the state of a reward with the same programs and spaces, but"
    ):
        IntrinsicReward("CartPole-v1", **SMALL).load_state_dict(IntrinsicReward("Pendulum-v1", **SMALL).state_dict())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("truncateds"), "Expected samples with the keys"),
        (
            lambda s: s.update(rewards=s["rewards"][:, 0]),
            "Expected rewards of T steps of N environments, [T, N], but got",
        ),
        (lambda s: s.update(actions=s["actions"][:2]), "Expected actions of shape [4, 2, ...] as the rewards, but got"),
        (lambda s: s.update(rewards=s["rewards"] * np.nan), "Expected finite rewards, but got NaN or infinity"),
        (
            lambda s: s.update(observations=s["observations"] * np.nan),
            "Expected samples of the environment's spaces, but",
        ),
        (lambda s: s.update(observations=s["observations"][..., :2]), "Expected "),
        (lambda s: s.update(rewards=s["rewards"] * 1e300), "Expected finite rewards, but got NaN or infinity"),
        (lambda s: s.update(rewards=s["rewards"].astype(str)), "Expected rewards of numbers, but got <U"),
        (lambda s: s.update(terminateds=s["rewards"] * np.nan), "Expected terminateds of True and False, or 1 and 0,"),
        (lambda s: s.update(observations=[[1], [1, 2]]), "Expected observations as an array, but got ValueError"),
        (lambda s: s.update(actions=s["actions"] + 7), "Expected actions of Discrete(2), but got "),
        (lambda s: s.update(actions=s["actions"] - 2), "Expected actions of Discrete(2), but got -"),
        (lambda s: s.update(actions=s["actions"] + 0.5), "Expected actions of Discrete(2), but got "),
        (
            lambda s: s.update(actions=np.eye(2)[s["actions"]]),
            "Expected actions of Discrete(2), but one has shape (2,)",
        ),
    ],
)
def test_samples_of_another_form_are_refused(change: Any, says: str):
    given = samples(gym.make("CartPole-v1"), 4, 2)
    change(given)
    with pytest.raises(InputError) as caught:
        IntrinsicReward("CartPole-v1", **SMALL).compute(given)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_samples_without_names_are_refused():
    with pytest.raises(InputError, match=r"^Expected samples by their names, .*, but got NoneType; give a dict\.$"):
        IntrinsicReward("CartPole-v1", **SMALL).compute(None)  # type: ignore[arg-type]


def test_numbers_out_of_a_box_count_as_on_its_edge_but_not_nan():
    given = samples(gym.make("Pendulum-v1"), 4)
    reward = IntrinsicReward("Pendulum-v1", **SMALL)
    edge, far = ({**given, "actions": np.full((4, 1, 1), number)} for number in (2.0, 50.0))
    assert np.array_equal(reward.compute(edge), reward.compute(far))
    with pytest.raises(InputError, match=r"^Expected actions of Box.*, but got nan; correct the samples\.$"):
        reward.update({**given, "actions": np.full((4, 1, 1), np.nan)})


def test_an_axis_of_its_own_is_no_other_action():
    given = samples(gym.make("CartPole-v1"), 4)
    reward = IntrinsicReward("CartPole-v1", **SMALL)
    deeper = {**given, "actions": given["actions"][..., None].astype(np.float32)}
    assert np.array_equal(reward.compute(given), reward.compute(deeper))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"learning_rate": -1}, "Expected learning_rate from "),
        ({"hidden": (0,)}, "Expected hidden to be a whole number from 1 "),
        ({"seed": -1}, "Expected seed to be a whole number from 0 "),
        ({"signal": None}, "Expected the name of a signal, but got None"),
        ({"signal": "Nothing"}, "Expected a signal among Control, "),
        ({"signal": "InformationGain"}, "Expected a model "),
        ({"updates": 0}, "Expected updates to be a whole number of at least 1, but got 0"),
    ],
)
def test_mistakes_are_told(settings: dict[str, Any], says: str):
    with pytest.raises(InputError, match=f"^{says}"):
        IntrinsicReward("CartPole-v1", **settings)


def test_a_future_of_several_steps_is_refused():
    with pytest.raises(
        InputError, match=r"^Expected a future of one step, which single transitions hold, but got State"
    ):
        IntrinsicReward("CartPole-v1", future=StateAfter(2))
