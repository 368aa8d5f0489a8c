"""Learning runs of more than a minute: `pytest -m learning`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyro.distributions as dist
import pytest

from gio_pyro.guides import GaussianGuide
from tests.cli.shell import gio

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


@pytest.mark.learning
def test_the_default_agent_on_pendulum_is_believed_and_one_with_an_overconfident_guide_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Seed 0; of the others see examples/benchmarks/default_agent.py."""
    run = tmp_path / "run"
    assert gio("train", "--quiet", "--out", run) == 0
    assert gio("diagnose", run) == 0
    assert (run / "diagnosis.html").stat().st_size < 5_000_000
    posterior = GaussianGuide.posterior

    def overconfident(self: GaussianGuide, *given: Any) -> Any:
        own = posterior(self, *given).base_dist
        return dist.Normal(own.loc, own.scale / 2).to_event(1)

    monkeypatch.setattr(GaussianGuide, "posterior", overconfident)
    assert gio("diagnose", run) == 1
