"""The study of the trajectory bound runs from the command line, here on its real small subset."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "studies" / "trajectory_bound.py"


def run(results: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--results", str(results)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_the_trajectory_study_measures_every_objective_and_resumes(tmp_path):
    results = tmp_path / "bound.csv"
    done = run(results)
    assert done.returncode == 0, done.stderr
    assert results.with_suffix(".png").stat().st_size > 10_000
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["measure", "guide", "objective", "steps", "particles", "count", "seed", "value"]
    assert all(math.isfinite(float(row["value"])) and float(row["value"]) > 0 for row in rows)
    assert {row["measure"] for row in rows} == {"gap", "early_gap", "relative_variance", "slack", "seconds"}
    found = {(row["measure"], row["objective"], row["steps"], row["particles"]): float(row["value"]) for row in rows}
    for measure in ("gap", "early_gap", "relative_variance"):
        one_step = found[measure, "elbo", "1", "1"]
        assert found[measure, "trajectory_elbo", "1", "1"] == pytest.approx(one_step, rel=1e-3)
        assert {key[1:] for key in found if key[0] == measure} == {
            ("elbo", "1", "1"),
            *((kind, t, k) for kind, k in (("trajectory_elbo", "1"), ("weighted_trajectory_elbo", "2")) for t in "14"),
        }
    assert found["gap", "elbo", "1", "1"] < found["early_gap", "elbo", "1", "1"]
    slack = [found["slack", "weighted_trajectory_elbo", "1", particles] for particles in "28"]
    assert found["slack", "trajectory_elbo", "1", "1"] > slack[0] > slack[1]
    before = results.read_bytes()
    assert run(results).returncode == 0
    assert results.read_bytes() == before
