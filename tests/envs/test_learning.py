"""Learning with a distant goal and many useless actions.

Cost: four minutes.
"""

import pytest

from gio_pyro import GIO
from gio_pyro.collection import make_env
from gio_pyro.diagnostics import compare_with_exact

pytestmark = pytest.mark.learning


@pytest.mark.parametrize("seed", range(3))
def test_ten_useless_actions_do_not_hide_the_goal_of_the_sparse_maze(seed: int):
    agent = GIO(make_env("gio/SparseMaze-v0", useless=10), temperature=0.002, seed=seed).learn(40_000)
    report = compare_with_exact(agent)
    assert report.return_uniform < 0.01
    assert report.return_learned > 0.99
