"""The planner of finite hidden worlds against the exact tier, and what it refuses."""

from functools import partial
from typing import Any, cast

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch.nn.functional import pad

import gio_pyro as gio
from gio_pyro import tabular
from gio_pyro.beliefs.imagination import WorldImagination
from gio_pyro.errors import InputError
from gio_pyro.guides import ForwardFilter
from gio_pyro.models import FiniteStateSpace
from gio_pyro.planning import PointBased, Problem
from gio_pyro.planning.families import Categoricals
from gio_pyro.planning.point_based import action_values, pomdp_of
from gio_pyro.programs import uniform_actions
from gio_pyro.types import Spec
from tests.beliefs.worlds import finite_pomdp, finite_spec, world_of


def problem_of(pomdp: tabular.POMDP, alpha: float) -> Problem:
    """What a planner is built from, with the world model that is known."""
    world = world_of(FiniteStateSpace.of(pomdp), ForwardFilter, finite_spec(pomdp))
    imagination = WorldImagination(world, lambda rows: rows, 1, torch.zeros(1, dtype=torch.long), captured=False)
    beliefs, unused = Box(0.0, 1.0, (pomdp.states,)), cast(Any, None)
    spec = Spec(beliefs, Discrete(pomdp.actions), beliefs)
    family, prior = Categoricals(pomdp.actions), partial(uniform_actions, spec)
    return Problem(spec, family, imagination, prior, unused, unused, lambda: alpha, pomdp.mdp.discount)


@pytest.mark.parametrize("name", ["gio/Tiger-v0", "gio/TMaze-v0"])
def test_the_tables_of_a_world_model_are_the_world_that_it_was_made_of(name: str):
    pomdp = finite_pomdp(name)
    own = pomdp_of(FiniteStateSpace.of(pomdp).tables(), pomdp.mdp.discount)
    found, wanted = (tabular.point_based(one, tolerance=1e-3) for one in (own, pomdp))
    assert wanted.converged
    assert found.lower <= wanted.upper
    assert wanted.lower <= found.upper
    assert found.gap <= 1e-3


def test_the_tiger_is_listened_to_until_that_pays_no_more():
    """Values are those of a belief tree of 200 steps, after which γ^t has left 4e-5; q is soft in them."""
    pomdp, alpha = finite_pomdp(), 10.0
    heard = torch.tensor([0.85**n / (0.85**n + 0.15**n) for n in range(-3, 4)], dtype=torch.float64)
    beliefs = torch.stack([heard, 1 - heard], -1)  # those that can be reached, where the bounds are close
    planner = PointBased(problem_of(pomdp, alpha), iterations=500, tolerance=1e-5)
    log_q = planner.plan(beliefs)[:, 0]
    wanted = tabular.belief_tree(pomdp, 200, belief=beliefs)
    torch.testing.assert_close(action_values(planner.solved, pad(beliefs, (0, 1))), wanted.q, atol=0.02, rtol=0)
    torch.testing.assert_close(log_q, (wanted.q / alpha).log_softmax(-1), atol=4e-3, rtol=0)
    assert wanted.action.tolist() == log_q.argmax(-1).tolist()
    assert len(set(wanted.action.tolist())) == 3


def test_an_agent_plans_in_a_learned_world_and_solves_it_anew_after_a_fit():
    how = {"pieces": 4, "burn_in": 2, "piece_length": 4, "batch_size": 16, "hidden": (8,), "learning_starts": 20}
    given = {"world_model": "FiniteStateSpace", "planner": "PointBased(iterations=5)", "guide": "HabitGuide"}
    agent = gio.GIO("gio/Tiger-v0", seed=0, train_freq=20, gradient_steps=2, **how, **given).learn(60)
    planner = agent.planning.planner
    belief = agent.replay.latest(3).state
    before, solved = planner.plan(belief), planner.solved
    planner.refresh()
    assert planner.solved is solved  # nothing has changed
    with torch.no_grad():
        planner.model.mean[0] += 100.0
    assert torch.equal(planner.plan(belief), before)
    planner.refresh()
    assert not torch.equal(planner.plan(belief), before)


def test_what_it_cannot_solve_is_refused():
    problem = problem_of(finite_pomdp(), 0.1)
    with pytest.raises(InputError, match="iterations of a planner"):
        PointBased(problem, iterations=0)
    with pytest.raises(InputError, match="Expected a world model with tables of finitely many states"):
        gio.GIO("CartPole-v1", planner="PointBased()")
