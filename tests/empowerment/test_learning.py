"""Learned empowerment, against the exact one, and its errors.

Cost: 40 s.
"""

from typing import Any

import gymnasium as gym
import pytest
import torch

import gio_pyro.envs  # noqa: F401 - registers the worlds
from gio_pyro import tabular
from gio_pyro.empowerment import Options, VariationalEmpowerment, learn_empowerment
from gio_pyro.errors import InputError, ProgramError
from tests.agents import untouched

QUICK: dict[str, Any] = {"batch_size": 128, "hidden": (64, 64)}


def vector(name: str, **arguments: Any) -> Any:
    return gym.make_vec(name, num_envs=32, vectorization_mode="sync", **arguments)


@pytest.mark.parametrize(
    ("name", "horizon", "arguments", "steps", "updates"),
    [
        ("gio/SlipperyLine-v0", 1, {"length": 5, "slip": 0.2}, 4_000, 300),
        pytest.param("gio/SlipperyLine-v0", 2, {"length": 5, "slip": 0.2}, 40_000, 800, marks=pytest.mark.slow),
        pytest.param("gio/Maze-v0", 2, {"map": ("SS#S", "SSSS", "S#SS")}, 40_000, 800, marks=pytest.mark.slow),
    ],
)
def test_small_worlds_are_learned_in_seconds(
    name: str, horizon: int, arguments: dict[str, Any], steps: int, updates: int
):
    with untouched():
        learned = learn_empowerment(vector(name, **arguments), horizon, steps, updates=updates, **QUICK)
    mdp = tabular.TabularMDP.from_env(gym.make(name, **arguments))
    met = tabular.reachable(mdp) & ~mdp.terminal
    exact = tabular.empowerment(mdp, horizon)
    error = (learned(torch.arange(mdp.states)) - exact)[met]
    assert float(error.abs().mean()) < 0.05
    assert float(error.max()) < 0.05  # it is a lower bound, but for what is not yet learned


def test_one_seed_is_one_result():
    first, second, third = (
        learn_empowerment("gio/SlipperyLine-v0", 2, 600, updates=20, seed=seed)(torch.arange(8)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.slow
def test_one_seed_of_pictures_is_one_result_on_two_threads():
    """In batches of 256: of smaller ones torch adds gradients in order whatever the threads, and nothing is tested."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        mazes = [vector("gio/Maze-v0", map=("SSS", "SSS"), observations="pixels") for _ in range(2)]
        first, second = (learn_empowerment(maze, 2, 1_100, updates=10, batch_size=256, seed=0) for maze in mazes)
    finally:
        torch.set_num_threads(before)
    for a, b in zip(first.source.parameters(), second.source.parameters(), strict=True):
        assert torch.equal(a, b)


def test_states_may_be_pictures_and_numbers():
    for env in (vector("gio/Maze-v0", map=("SS", "SS"), observations="pixels"), vector("CartPole-v1")):
        learned = learn_empowerment(env, 2, 2_200, updates=3, batch_size=8, hidden=(8,))
        seen = torch.as_tensor(env.single_observation_space.sample()[None])
        assert torch.isfinite(learned(seen)).all()


def test_the_bound_of_a_source_and_a_guide_that_know_nothing_is_zero():
    learner = VariationalEmpowerment(gym.spaces.Discrete(5), gym.spaces.Discrete(3), 4)
    options = Options(torch.arange(5), torch.randint(3, (5, 4)), torch.arange(5), torch.zeros(5))
    assert learner.bound(options).tolist() == pytest.approx([0.0] * 5, abs=1e-6)


def test_a_resting_source_stays_where_it_is():
    learner = VariationalEmpowerment(gym.spaces.Discrete(5), gym.spaces.Discrete(3), 2)
    before = [p.clone() for p in learner.source.sequences.parameters()]
    options = Options(torch.arange(5), torch.randint(3, (5, 2)), torch.arange(5), torch.full((5,), -2.2))
    learner.update(options, source_rests=True)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.source.sequences.parameters(), strict=True))
    learner.update(options)
    assert not all(torch.equal(a, b) for a, b in zip(before, learner.source.sequences.parameters(), strict=True))


def test_steps_as_graphs_are_the_same_steps():
    """Bit for bit, also where the source begins to learn and the learning rates fall."""
    drawn = torch.Generator().manual_seed(0)
    learned = []
    for graphs in (True, False):
        torch.manual_seed(0)
        learner = VariationalEmpowerment(gym.spaces.Discrete(5), gym.spaces.Discrete(3), 2, hidden=(8,), graphs=graphs)
        drawn.manual_seed(0)
        for number in range(260):
            state, final = torch.randint(5, (2, 16), generator=drawn)
            options = Options(state, torch.randint(3, (16, 2), generator=drawn), final, torch.full((16,), -2.2))
            learner.update(options, rate=1 - number / 400, source_rests=number < 130)
        assert all(bool(step.routes) == graphs for step in learner.steps.values())
        learned.append([*learner.source.parameters(), *learner.guide.parameters()])
    assert all(map(torch.equal, *learned))


@pytest.mark.parametrize("horizon", [0, -1, 1.5, True, "2", None])
def test_a_horizon_is_a_whole_number(horizon: Any):
    with pytest.raises(InputError, match=r"^Expected a horizon of at least 1 action, a whole number, but got"):
        learn_empowerment("gio/SlipperyLine-v0", horizon, 100)


@pytest.mark.parametrize("name", ["steps", "updates", "batch_size"])
def test_numbers_are_at_least_one(name: str):
    given = {"steps": 100, "updates": 1, "batch_size": 1} | {name: 0}
    with pytest.raises(InputError, match=f"^Expected {name} to be a whole number of at least 1, but got 0"):
        learn_empowerment("gio/SlipperyLine-v0", 1, **given)


def test_other_mistakes_are_told():
    with pytest.raises(InputError, match=r"^Expected finitely many actions for n-step empowerment, but got Box"):
        learn_empowerment("Pendulum-v1", 2, 100)
    with pytest.raises(ProgramError, match=r"^Expected a guide named 'Nothing'"):
        learn_empowerment("gio/SlipperyLine-v0", 2, 100, guide="Nothing")
    with pytest.raises(InputError, match=r"^Expected sequences of 9 actions whose end is known, but every episode"):
        learn_empowerment(gym.make("gio/Maze-v0", map="SS", max_episode_steps=5), 9, 200, updates=1)
