"""Learning runs of more than a minute: `pytest -m learning`."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "finite_control.py"


@pytest.mark.learning
@pytest.mark.parametrize("world", ["FrozenLake", "CliffWalking", "Taxi"])
def test_five_of_five_seeds_reach_their_bounds(world, tmp_path):
    """At least 98 % of the gap between the uniform policy and the optimum, MI within 0.02 nats of the exact one."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", world, "--results", str(tmp_path / "rows.csv")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
