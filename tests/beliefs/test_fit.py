"""World models and filters fitted without an agent, and what makes them fit."""

import gymnasium as gym
import pytest
import torch

import gio_pyro.envs  # noqa: F401
from gio_pyro import tabular
from gio_pyro.beliefs.bound import mean_field_bound
from gio_pyro.beliefs.fit import bound_of, fit, random_play, whole_episodes
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.errors import InputError
from gio_pyro.guides import CategoricalFilter, ForwardFilter, GaussianFilter, KalmanFilter
from gio_pyro.models import FiniteStateSpace, GaussianStateSpace
from gio_pyro.models.finite_state_space import proportional
from gio_pyro.programs import without_validation
from tests.beliefs.worlds import LINEAR, finite_pieces, finite_pomdp, finite_spec, finite_world, world_of

LINE = "gio/LinearGaussian-v0"


def system() -> tabular.LinearGaussian:
    return gym.make(LINE).unwrapped.system


def test_random_play_is_reproducible_and_its_actions_are_uniform():
    one, two = (random_play(LINE, 2_000, seed=3).all() for _ in range(2))
    assert torch.equal(one.state, two.state)
    assert not torch.equal(one.state, random_play(LINE, 2_000, seed=4).all().state)
    action = one.action.tanh()
    assert float(action.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(action.var()) == pytest.approx(1 / 3, abs=0.02)
    assert set(random_play("gio/Tiger-v0", 200, seed=0).all().action.tolist()) == {0, 1, 2}


def test_whole_episodes_begin_and_end_where_episodes_do():
    replay = random_play("gio/NoisyFrozenLake-v0", 300, seed=0)
    rows, pieces = replay.all(), whole_episodes(replay)
    assert bool(pieces.begins.all())
    assert int(pieces.valid.sum()) == 300
    lengths = torch.bincount(rows.episode)
    assert torch.equal(pieces.valid.sum(1), lengths[lengths > 0])
    assert int(pieces.terminated[pieces.valid].sum()) == int(rows.terminated.sum())


def test_given_matrices_are_those_of_the_kalman_filter_and_stay():
    replay = random_play(LINE, 600, seed=0)
    pieces = whole_episodes(replay)
    model = GaussianStateSpace.of(system(), 10.0)
    world = fit(replay, LINE, world_model=model, filter=KalmanFilter, updates=2, pieces=2, compile=False).world
    shown = torch.cat([pieces.first.unsqueeze(1), pieces.observation], 1)
    exact = tabular.kalman(system(), shown, 10 * pieces.action.tanh())
    with torch.no_grad(), without_validation():
        beliefs = world.along(pieces)
    assert float(shown.abs().max()) > 10  # beyond what `Standardise` clips
    torch.testing.assert_close(beliefs[..., :2].double(), exact.mean, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(beliefs[..., 2:].double(), exact.covariance.flatten(-2), atol=1e-5, rtol=1e-4)
    assert bound_of(world, pieces, draws=20) == pytest.approx(float(exact.log_likelihood.mean()), abs=0.02)
    for name, value in model.state_dict().items():
        assert torch.equal(world.model.program.state_dict()[name], value)


def test_a_covariance_that_is_not_diagonal_is_refused():
    given = system()
    tables = vars(given) | {"process_noise": torch.tensor([[1.0, 0.5], [0.5, 1.0]])}
    with pytest.raises(InputError, match=r"^Expected a diagonal process_noise for GaussianStateSpace, but got"):
        GaussianStateSpace.of(tabular.LinearGaussian(**tables))


@pytest.mark.parametrize("name", ["gio/TMaze-v0", "gio/NoisyFrozenLake-v0"])
def test_a_learned_filter_of_given_tables_has_finite_gradients_amid_episodes(name: str):
    """What is seen there is impossible at the beginning of one, and tables have zeros."""
    pomdp = finite_pomdp(name)
    world, given = finite_world(pomdp, CategoricalFilter), finite_pieces(pomdp, 8, 12)
    given.begins[:] = False
    amid = Piece(given.observation[:, 3], *(one[:, 4:] for one in given.tensors()[1:6]), given.begins)
    bound = mean_field_bound(world, amid, 2)
    bound.backward()
    assert bool(bound.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in world.filter.parameters() if p.grad is not None)


def test_pieces_amid_an_episode_begin_with_what_the_world_model_says():
    world = world_of(GaussianStateSpace(LINEAR), KalmanFilter, LINEAR)
    shape = torch.zeros(2, 3, 1)
    no = torch.zeros(2, 3, dtype=torch.bool)
    pieces = Piece(torch.ones(2, 1), shape, shape, shape[..., 0], no, ~no, torch.tensor([True, False]))
    first = world.along(pieces)[:, 0]
    torch.testing.assert_close(first[1], world.model.program.midway())
    torch.testing.assert_close(first[:1], world.begin(pieces.first[:1]))
    tiger = finite_pomdp(ends=True)
    assert FiniteStateSpace.of(tiger).midway().tolist() == [0.5, 0.5, 0.0]


def test_the_gaussian_filter_begins_between_ignoring_and_copying_what_it_sees():
    world = world_of(GaussianStateSpace.of(system()), GaussianFilter, LINEAR)
    belief = world.begin(torch.tensor([[1.0]]))
    assert 0.2 < float(belief[0, 0].detach()) < 0.8


def test_an_impossible_observation_leaves_the_prediction():
    pomdp = finite_pomdp("gio/TMaze-v0")
    for filter in (ForwardFilter, CategoricalFilter):
        world = finite_world(pomdp, filter)
        belief = world.begin(torch.tensor([3]))  # the junction, where no episode begins
        torch.testing.assert_close(belief[0], pomdp.mdp.start.to(belief), atol=1e-6, rtol=0)


def test_a_hidden_markov_model_begins_with_states_for_each_symbol_as_it_is_seen():
    assert proportional(torch.tensor([3, 0, 1]), 4).tolist() == [0, 0, 0, 2]
    assert proportional(torch.tensor([9, 1, 1]), 2).tolist() == [0, 1]
    assert proportional(torch.tensor([0, 0]), 3).tolist() == [0, 0, 1]
    model = type("Sixteen", (FiniteStateSpace,), {"states": 16})(finite_spec(finite_pomdp("gio/TMaze-v0")))
    seen = random_play("gio/TMaze-v0", 500, seed=0).all()
    model.observe(seen)
    before = {name: one.clone() for name, one in model.state_dict().items() if "emission" in name}
    symbol = model.first_emission.argmax(-1)
    shown = torch.bincount(symbol[:12], minlength=4)
    assert bool((shown[torch.bincount(seen.next_state, minlength=4) > 0] > 0).all())
    assert int(shown[2]) > 6
    assert all(emission.argmax(-1).equal(symbol) for emission in model.emission)
    assert model.ending.tolist() == [-4.0] * 12 + [4.0] * 4
    model.observe(seen)  # only the first transitions place them
    assert all(one.equal(model.state_dict()[name]) for name, one in before.items())


@pytest.mark.slow
def test_a_hidden_markov_model_is_learned():
    replay, held = (random_play("gio/Tiger-v0", steps, seed=steps) for steps in (10_000, 2_000))
    pieces = whole_episodes(held)
    exact = tabular.forward_filter(
        finite_pomdp(), torch.cat([pieces.first.unsqueeze(1), pieces.observation], 1), pieces.action
    )
    program = type("Learned", (FiniteStateSpace,), {"rewards": False, "states": 4, "learning_rate": 0.1})
    small = {"piece_length": 24, "burn_in": 8, "pieces": 32, "compile": False}
    found = fit(replay, "gio/Tiger-v0", world_model=program, updates=120, cooled=60, **small)
    assert float(exact.log_likelihood.mean()) - bound_of(found.world, pieces) < 0.04
