"""Act by plans: what is recorded, kept, dropped, saved and distilled."""

import copy
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from gio_pyro import GIO
from gio_pyro.actor_critic.behaviour import mixed_behaviour
from gio_pyro.errors import CheckpointError, InputError, TrainingError
from gio_pyro.planning import Planner, Planning, Problem
from gio_pyro.planning.families import Categoricals, Gaussians, is_planned
from gio_pyro.types import Step
from tests.agents import differences
from tests.planning.worlds import chain, problem_of

SMALL = {"hidden": (16,), "learning_starts": 20, "batch_size": 16, "seed": 0}
SHORT = "PathIntegral(horizon=4, draws=16)"


class Counting(Planner):
    """The t-th action of the n-th plan prefers action t, by as much as n says; of two actions."""

    def __init__(self, problem: Problem, replan: int = 3) -> None:
        super().__init__(problem)
        self.replan, self.made = replan, 0
        self.starts: list[Tensor | None] = []

    def plan(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        self.made += 1
        self.starts.append(start)
        first = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]]).clamp_min(1e-9)
        return first.log().expand(len(state), -1, -1)


def planning(streams: int = 1, replan: int = 3) -> Planning:
    return Planning(Counting(problem_of(chain(), 0.1), replan), streams, None)


def uniformly(share: float = 0.0) -> Any:
    return lambda policy: mixed_behaviour(policy, uniform_share=share, finite=True)


def step(real: list[bool], ends: list[bool]) -> Step:
    return Step({}, np.array(ends), np.array(real))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_recorded_probability_is_that_of_the_action(share: float):
    behaviour = planning(20_000).behaviour(None, uniformly(share), True)
    action, log_mu = behaviour(torch.zeros(20_000, dtype=torch.long))
    q = (1 - share) * torch.tensor([0.9, 0.1, 0.0]) + share / 3
    frequency = action.bincount(minlength=3) / 20_000
    torch.testing.assert_close(frequency, q, atol=0.01, rtol=0)
    torch.testing.assert_close(log_mu.exp(), q[action].to(log_mu), atol=1e-6, rtol=0)


def test_a_continuous_plan_is_recorded_by_its_density():
    agent = GIO("Pendulum-v1", planner=SHORT, **SMALL).learn(60)
    with torch.random.fork_rng():
        parameters = agent.planning.planned(agent.replay.latest(3).state)[:, 0]
        mean, log_scale = parameters.chunk(2, -1)
        family = Gaussians(1)
        q = family.distribution(parameters)
        draws = q.sample((20_000,))
    torch.testing.assert_close(draws.mean(0), mean, atol=0.05, rtol=0)
    wanted = -0.5 * ((draws - mean) / log_scale.exp()).square() - log_scale - 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(q.log_prob(draws), wanted.squeeze(-1), atol=1e-4, rtol=0)
    assert bool(agent.replay.all().log_behaviour.isfinite().all())


def test_a_plan_is_followed_for_as_many_steps_and_then_made_again():
    plans = planning(replan=3)
    behaviour = plans.behaviour(None, uniformly(), True)
    seen = []
    for _ in range(5):
        seen.append(plans.next_actions(torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long))[0].exp())
        plans.after(torch.tensor([True]), torch.tensor([False]), behaviour.now)
    firsts = [float(x[0]) for x in seen]
    assert firsts == pytest.approx([0.9, 0.2, 0.3, 0.9, 0.2])
    assert plans.planner.made == 2
    assert plans.planner.starts[0] is None
    start = plans.planner.starts[1]
    assert start is not None
    torch.testing.assert_close(start[0, 0].exp(), torch.tensor([0.1, 0.1, 0.8]))
    assert not bool(is_planned(start[0, 1:]).any())


@pytest.mark.parametrize(("real", "ends"), [(True, True), (False, False)], ids=["its last step", "a mere reset"])
def test_a_plan_is_dropped_at_the_end_of_its_episode_in_that_environment_alone(real: bool, ends: bool):
    plans = planning(2, replan=4)
    behaviour = plans.behaviour(None, uniformly(), True)
    behaviour(torch.zeros(2, dtype=torch.long))
    behaviour.on_step(step([True, real], [False, ends]))
    assert plans.left.tolist() == [3, 0]
    assert not bool(is_planned(plans.rest[1]).any())
    behaviour(torch.zeros(2, dtype=torch.long))
    assert plans.left.tolist() == [2, 3]


def test_a_plan_is_dropped_where_something_else_has_moved():
    plans = planning(2, replan=4)
    behaviour = plans.behaviour(None, uniformly(), True)
    behaviour(torch.zeros(2, dtype=torch.long))
    behaviour.on_step(step([True, True], [False, False]))
    behaviour.at(torch.zeros(1, dtype=torch.long), torch.tensor([1]))
    behaviour.on_step(step([True, True], [False, False]))
    assert plans.left.tolist() == [0, 2]


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
def test_vector_environments_plan_in_every_autoreset_mode(mode: Any):
    env = gym.make_vec(
        "CartPole-v1", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, max_episode_steps=7
    )
    agent = GIO(env, planner="PathIntegral(horizon=4, draws=8, replan=3)", **SMALL).learn(80)
    assert agent.collector.episodes >= 4
    assert bool(agent.replay.all().log_behaviour.isfinite().all())


RESUMED = [
    ("CartPole-v1", {"planner": "PathIntegral(horizon=4, draws=16, replan=3)"}),
    ("Pendulum-v1", {"planner": "CrossEntropy(horizon=4, draws=16, rounds=2)", "guide": "HabitGuide", "replanned": 2}),
    ("FrozenLake-v1", {"planner": "BackwardInduction(horizon=5)", "guide": "HabitGuide", "train_freq": 30}),
    ("FrozenLake-v1", {"planner": SHORT, "train_freq": 30}),
    ("CartPole-v1", {"planner": "OneStep(draws=8)", "dream_horizon": 2, "dream_share": 0.5}),
    ("CartPole-v1", {"planner": SHORT, "signal": "RandomNetworkDistillation", "explorer": "Signal"}),
]


@pytest.mark.parametrize(("name", "how"), RESUMED, ids=lambda x: x if isinstance(x, str) else x["planner"][:12])
def test_an_agent_with_a_planner_resumes_bit_for_bit(name: str, how: dict[str, Any], tmp_path: Path):
    settings = {k: v for k, v in SMALL.items() if name != "FrozenLake-v1" or k == "seed"} | how
    agent = GIO(name, **settings).learn(40)
    agent.save(tmp_path)
    again = GIO.load(tmp_path)
    assert not differences(agent, again)
    first, second = (one.predict(one.env.observation_space.sample(), deterministic=True) for one in (agent, again))
    assert type(first) is type(second)
    again = GIO.load(tmp_path)
    agent = GIO.load(tmp_path)
    assert not differences(agent.learn(25), again.learn(25))


def test_a_checkpoint_from_before_planners_is_loaded(tmp_path: Path):
    from gio_pyro.checkpointing import agent_state, file_format

    agent = GIO("FrozenLake-v1", seed=0).learn(50)
    state = agent_state.state_of(agent)
    del state["planning"], state["settings"]["planner"]
    file_format.write(tmp_path, state)
    assert not differences(GIO.load(tmp_path), agent)


def test_a_habit_learns_the_plans_and_acts_by_them_alone(tmp_path: Path):
    settings = {"guide": "HabitGuide", "planner": "BackwardInduction()", "seed": 0, "train_freq": 50}
    agent = GIO("FrozenLake-v1", **settings).learn(1_000)
    visited = agent.replay.all().state.unique()
    habit = agent.guide.posterior(agent.policy, visited, visited).probs.detach()
    kept = agent.planning.memory.plans[visited]
    planned = is_planned(kept)
    assert int(planned.sum()) > 8
    assert float((kept.softmax(-1) - habit)[planned].abs().mean()) < 0.1
    agent.planner = None
    assert agent.planner is None
    assert agent.predict(0, deterministic=True)[0] == int(habit[0].argmax())
    agent.save(tmp_path)
    assert GIO.load(tmp_path).planner is None
    agent.learn(50)
    agent.planner = "PathIntegral(horizon=3, draws=8)"
    assert type(agent.planner).__name__ == "PathIntegral"


def test_loading_without_the_planner_acts_by_the_policy_where_nothing_was_distilled(tmp_path: Path):
    agent = GIO("FrozenLake-v1", planner="BackwardInduction()", seed=0).learn(300)
    agent.save(tmp_path)
    loaded = GIO.load(tmp_path, planner=None)
    assert loaded.planner is None
    assert loaded.predict(0, deterministic=True)[0] == int(agent.policy.mode(torch.tensor([0])))


def test_replayed_states_are_planned_from_anew():
    """Without, plans of states that were seen early, and of random steps, are not there to learn from."""
    settings = SMALL | {"planner": SHORT, "guide": "HabitGuide", "train_freq": 10}
    agent = GIO("CartPole-v1", replanned=64, **settings).learn(60)
    rows, memory = agent.replay.all(), agent.planning.memory
    assert float(is_planned(memory.of(rows)).float().mean()) > 0.9
    assert bool((memory.made[rows.time] >= rows.time).all())
    plans = memory.plans.clone()
    agent.planning.renew(agent.replay, 0)
    assert torch.equal(memory.plans, plans)
    agent.planner = None
    agent.learn(20)
    assert torch.equal(memory.plans[:60], plans[:60])
    with pytest.raises(InputError, match=r"^Expected a planner beside replanned, but got 3 without one"):
        GIO("CartPole-v1", replanned=3)


def test_the_cross_entropy_by_hand():
    import pyro.distributions as dist

    q, p = torch.tensor([[0.2, 0.8]]), torch.tensor([[0.5, 0.5]])
    found = Categoricals(2).cross_entropy(q.log(), dist.Categorical(logits=p.log()))
    torch.testing.assert_close(found, torch.tensor([np.log(2)]).float())
    q, p = torch.tensor([[0.3, -0.5]]), dist.Normal(torch.tensor([[1.0]]), torch.tensor([[2.0]])).to_event(1)
    found = Gaussians(1).cross_entropy(q, p)
    draws = Gaussians(1).distribution(q).sample((200_000,))
    torch.testing.assert_close(found, -p.log_prob(draws).mean(0), atol=0.01, rtol=0)


def test_dreams_and_a_planner_share_one_fit():
    agent = GIO("CartPole-v1", planner=SHORT, dream_horizon=2, dream_share=0.5, **SMALL)
    assert agent.planning.problem.imagination.outcomes is agent.dreaming
    assert [name for name in agent.optimisers() if "dream" in name] == ["dreams"]


def test_a_model_that_gives_nan_is_said_in_a_sentence():
    agent = GIO("CartPole-v1", planner=SHORT, **SMALL).learn(30)
    with torch.no_grad():
        agent.dreaming.outcomes.net[-1].bias.fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"^Expected finite rewards, values and states from the model .*\.$"):
        agent.predict(agent.env.observation_space.sample())


WRONG = [
    ("CartPole-v1", {"planner": "BackwardInduction()"}, "Expected finite states and actions for BackwardInduction"),
    ("CartPole-v1", {"planner": SHORT, "future": "Return(5)"}, "Expected a future that holds the next state where a"),
    ("CartPole-v1", {"planner": "PathIntegra()"}, "Expected a planner"),
    ("CartPole-v1", {"planner": "PathIntegral(horizons=3)"}, "Expected PathIntegral with its own settings"),
    (
        "CartPole-v1",
        {"planner": "PathIntegral(horizon=0)"},
        "Expected horizon of a planner to be a whole number from 1",
    ),
    ("CartPole-v1", {"planner": "PathIntegral(draws=1.5)"}, "Expected draws of a planner to be a whole number"),
    ("CartPole-v1", {"planner": "PathIntegral(horizon=3, replan=4)"}, "Expected replan of a planner to be a whole"),
    ("CartPole-v1", {"planner": "OneStep(draws=0)"}, "Expected draws of a planner to be a whole number"),
    ("CartPole-v1", {"planner": 3}, "Expected planner to be a name or None"),
]


@pytest.mark.parametrize(("name", "how", "said"), WRONG, ids=[str(how["planner"]) for _, how, _ in WRONG])
def test_what_cannot_be_planned_is_refused_in_one_sentence(name: str, how: dict[str, Any], said: str):
    with pytest.raises(InputError) as caught:
        GIO(name, **how)
    assert str(caught.value).startswith(said)
    assert len(str(caught.value)) <= 300


def test_a_planner_is_set_only_where_one_was_built():
    agent = GIO("FrozenLake-v1", seed=0)
    agent.planner = None
    with pytest.raises(InputError, match=r"^Expected an agent that was built with a planner, but got"):
        agent.planner = SHORT


def test_another_planner_than_in_training_is_refused(tmp_path: Path):
    GIO("FrozenLake-v1", planner="BackwardInduction()", seed=0).save(tmp_path)
    with pytest.raises(CheckpointError, match=r"^Expected planner BackwardInduction\(\) as in training"):
        GIO.load(tmp_path, planner=SHORT)


@pytest.mark.parametrize("how", [{"planner": SHORT}, {"planner": SHORT, "guide": "HabitGuide"}])
def test_a_copy_plans_with_its_own_programs(how: dict[str, Any]):
    agent = GIO("CartPole-v1", **how, **SMALL).learn(30)
    for twin in (copy.deepcopy(agent), pickle.loads(pickle.dumps(agent))):
        problem = twin.planning.problem
        assert problem.imagination.fitted.model is twin.model is not agent.model
        assert problem.imagination.outcomes is twin.dreaming
        assert problem.value.__self__ is twin
        assert not differences(copy.deepcopy(agent).learn(5), twin.learn(5))


def test_plans_of_the_latest_half_are_kept_and_a_transition_that_was_not_planned_has_none():
    settings = SMALL | {"buffer_size": 40}
    agent = GIO("CartPole-v1", planner=SHORT, guide="HabitGuide", **settings).learn(70)
    memory = agent.planning.memory
    assert is_planned(memory.of(agent.replay.all())).tolist() == [time >= 69 // 2 for time in range(30, 70)]
    agent.planner = None
    agent.learn(12)
    planned = is_planned(memory.of(agent.replay.all()))
    assert planned.tolist() == [True] * 28 + [False] * 12
