"""What is learned where the goal is far and most actions are useless.

Cost: 90 s.
"""

import pytest

from gio_pyro import GIO
from gio_pyro.diagnostics import compare_with_exact
from gio_pyro.environments import make_env

pytestmark = pytest.mark.learning


def test_ten_useless_actions_do_not_hide_the_goal_of_the_sparse_maze():
    agent = GIO(make_env("gio/SparseMaze-v0", useless=10), temperature=0.002, seed=0).learn(40_000)
    report = compare_with_exact(agent)
    assert report.return_uniform < 0.01
    assert report.return_learned > 0.99
