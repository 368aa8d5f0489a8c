"""What transitions are paid: the reward, a signal, or both, and always as it would be paid now.

Cost: 25 s.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

import gio_pyro.envs
from gio_pyro import GIO, diagnostics, tabular
from gio_pyro.errors import InputError
from gio_pyro.signals import NAMES, Signal
from gio_pyro.signals.reward_mix import EnvironmentReward, RewardMix
from tests.agents import differences, untouched
from tests.futures.test_reading import two_episodes

KNOWING = {"Disagreement": "DirichletModel", "InformationGain": "DirichletModel"}
QUICK: dict[str, Any] = {"train_freq": 20, "gradient_steps": 3, "log_interval": 20, "sweeps": 20}


class Likes(Signal):
    """Pays 1 for action 1; what it has been told is kept."""

    unit = "reward units"

    def __init__(self, fitted: Any, most: float = 1.0) -> None:
        super().__init__(fitted)
        self.most, self.told = most, 0

    def observe(self, rows: Any) -> None:
        self.told += len(rows)

    def read(self, rows: Any) -> torch.Tensor:
        return self.most * (rows.action == 1).float()


NAMED = f"{__name__}:Likes"


def test_without_a_signal_transitions_are_paid_what_they_earned():
    rows = two_episodes().all()
    reward_mix = EnvironmentReward()
    assert reward_mix.mix(rows, 10) is rows
    assert reward_mix.update(rows) == {}
    assert reward_mix.read(rows).tolist() == [0.0] * len(rows)


WITHOUT_REWARD: dict[str, dict[str, Any]] = {
    "CliffWalking-v1": QUICK,
    "CartPole-v1": {"hidden": (8,), "batch_size": 16, "learning_starts": 32, "temperature": 1.0, "log_interval": 50},
}


@pytest.mark.parametrize("env", WITHOUT_REWARD)
def test_weight_zero_learns_bit_for_bit_as_where_a_wrapper_zeroes_the_reward(env: str):
    settings = WITHOUT_REWARD[env]
    weighted = GIO(env, reward_weight=0, **settings).learn(100)
    zeroed = GIO(gym.wrappers.TransformReward(gym.make(env), lambda reward: 0.0 * reward), **settings).learn(100)
    for part in ("model", "guide", "actor_critic"):
        assert not differences(*(getattr(agent, part).state_dict() for agent in (weighted, zeroed)))
    assert not differences(weighted.random.state, zeroed.random.state)
    assert torch.equal(weighted.replay.all().next_state, zeroed.replay.all().next_state)
    assert float(weighted.replay.all().reward.abs().min()) > 0 == float(zeroed.replay.all().reward.abs().max())
    figures = [agent.metrics() for agent in (weighted, zeroed)]
    assert figures[0]["intrinsic/nats"] == figures[1]["intrinsic/nats"]
    assert weighted.largest_reward == 0.0


def test_any_other_weight_scales_the_reward_and_the_agent_is_saved_with_it(tmp_path: Path):
    rows = two_episodes().all()
    assert torch.equal(EnvironmentReward(-0.5).mix(rows, 0).reward, -0.5 * rows.reward)
    agent = GIO("FrozenLake-v1", reward_weight=3.0, **QUICK).learn(40)
    agent.save(tmp_path)
    other = GIO.load(tmp_path)
    assert other.reward_mix.reward_weight == 3.0
    assert not differences(agent.learn(20), other.learn(20))


def test_the_exact_optimum_beside_the_agent_counts_the_reward_as_the_agent_does():
    figures = [
        diagnostics.compare_with_exact(GIO("gio/SlipperyLine-v0", reward_weight=weight, **QUICK).learn(40))
        for weight in (None, 1.0, 0.0)
    ]
    assert figures[0] == figures[1]
    assert figures[2].return_regularised < figures[0].return_regularised
    assert figures[2].return_optimal == figures[0].return_optimal


def test_signals_and_dreams_learn_where_the_programs_are_not_fitted():
    agent = GIO(
        "CartPole-v1", signal="RandomNetworkDistillation", dream_horizon=2, dream_share=0.5, gradient_steps=0,
        hidden=(8,), batch_size=8, learning_starts=16,
    )  # fmt: skip
    rooms = {"programs": (agent.model, agent.guide), "signal": (agent.reward_mix,), "dreams": (agent.dreaming,)}
    numbers = {name: [p for part in parts for p in part.parameters()] for name, parts in rooms.items()}
    before = {name: [p.detach().clone() for p in some] for name, some in numbers.items()}
    agent.learn(40)
    moved = {n: any(not torch.equal(p, q) for p, q in zip(numbers[n], before[n], strict=True)) for n in rooms}
    assert moved == {"programs": False, "signal": True, "dreams": True}


def test_both_rewards_are_weighed_and_the_signals_weight_may_change_with_time():
    rows = two_episodes().all()
    signal = Likes(None)
    reward_mix = RewardMix(signal, "linear:2:0:10", 0.5)
    bonus = (rows.action == 1).float()
    assert torch.equal(reward_mix.mix(rows, 0).reward, 0.5 * rows.reward + 2 * bonus)
    assert torch.equal(reward_mix.mix(rows, 10).reward, 0.5 * rows.reward)
    assert torch.equal(rows.reward, two_episodes().all().reward)


@pytest.mark.slow
def test_a_signal_alone_drives_and_beside_a_reward_it_complements():
    """On a line whose reward lies to the right (action 1), a signal that fines action 1 turns the agent around."""
    env = "gio/SlipperyLine-v0"
    with untouched():
        alone = GIO(env, signal=f"{NAMED}(-1)", guide="UniformGuide", **QUICK).learn(600)
        both = GIO(env, signal=f"{NAMED}(-1)", signal_weight="linear:1:0:200", reward_weight=1.0, discount=0.9, **QUICK)
        both.learn(1_500)
    assert alone.reward_mix.signal.told == 600
    assert float(diagnostics.policy_table(alone)[0, 0]) > 0.9
    assert float(diagnostics.policy_table(both)[5, 1]) > 0.5
    assert alone.metrics()["intrinsic/signal"] < 0


@pytest.mark.parametrize("name", list(NAMES))
def test_every_signal_learns_and_goes_on_bit_for_bit(tmp_path: Path, name: str):
    agent = GIO("gio/SlipperyLine-v0", signal=name, model=KNOWING.get(name), **QUICK).learn(100)
    agent.save(tmp_path)
    other = GIO.load(tmp_path)
    assert not differences(agent.learn(40), other.learn(40))
    assert torch.isfinite(agent.reward_mix.read(agent.replay.all())).all()
    for first, second in zip(agent.reward_mix.parameters(), other.reward_mix.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["prediction_error", "random-network-distillation", "Empowerment(horizon=3)"])
def test_a_name_may_be_spelt_as_one_likes(name: str):
    agent = GIO("FrozenLake-v1", signal=name)
    assert (
        type(agent.reward_mix.signal).__name__.lower()
        == name.partition("(")[0].replace("_", "").replace("-", "").lower()
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"signal": "Nothing"}, "Expected a signal among Control, Empowerment, PredictionError, "),
        ({"signal": "Empowerment(0)"}, "Expected a horizon of at least 1 action, a whole number, but got 0"),
        (
            {"signal": "Empowerment(depth=3)"},
            "Expected Empowerment with its own settings (horizon, updates, batch_size, rest), but got {'depth': 3}",
        ),
        ({"signal": "Empowerment(3"}, "Expected a signal with its settings in brackets, but got 'Empowerment(3'"),
        ({"signal": "InformationGain"}, "Expected a model "),
        ({"signal": "Disagreement"}, "Expected a model that implements beliefs"),
        ({"signal": 3}, "Expected signal to be a name or None, but got 3"),
        ({"signal_weight": "much"}, "Expected a weight that is a number"),
        ({"signal": "Control", "signal_weight": 1e300}, "Expected a weight that is a number"),
        ({"signal_weight": abs}, "Expected signal_weight to be a number"),
        ({"reward_weight": "all"}, "Expected reward_weight from "),
        ({"signal_weight": 0.5}, "Expected signal_weight only beside a signal, but got 0.5 without one"),
        (
            {"reward_weight": 0.5, "intrinsic": "replayed", "future": "NextStateAndReward(rewards=(0.5, 2))"},
            "Expected a future without the reward beside reward_weight and a replayed guide, but got NextStateAndR",
        ),
        (
            {"signal": "Control", "intrinsic": "replayed", "future": "NextStateAndReward(rewards=(0.5, 2))"},
            "Expected a future without the reward beside a signal and a replayed guide, but got NextStateAndReward",
        ),
    ],
)
def test_mistakes_are_told(settings: dict[str, Any], says: str):
    with pytest.raises(InputError) as caught:
        GIO("FrozenLake-v1", **settings)
    assert str(caught.value).startswith(says)


def test_continuous_actions_have_no_sequences_to_enumerate():
    with pytest.raises(InputError, match=r"^Expected finitely many actions for n-step empowerment, but got Box"):
        GIO("Pendulum-v1", signal="empowerment")


@pytest.mark.slow
def test_an_agent_driven_by_empowerment_goes_where_more_can_be_done():
    """A corridor with a room at its end: exact values of where the agent is, against wandering."""
    env = gio_pyro.envs.Maze("SSSS####\n###S.SSS\n####SSSS\n####SSSS")
    agent = GIO(env, signal="empowerment(2)", guide="UniformGuide", temperature=0.01, discount=0.95, seed=0)
    agent.learn(6_000)
    mdp = tabular.TabularMDP.from_env(env)
    exact = tabular.empowerment(mdp, 2)
    wandering = torch.full((mdp.states, mdp.actions), 1 / mdp.actions)
    learned, uniform = (
        float((tabular.episode_visits(mdp, pi, 200) * exact).sum())
        for pi in (diagnostics.policy_table(agent), wandering)
    )
    assert learned > uniform + 0.1
