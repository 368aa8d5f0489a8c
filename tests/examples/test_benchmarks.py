"""Every script under examples/benchmarks runs from the command line, here with tiny settings."""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_the_exact_tier_is_timed_and_certified():
    done = run("exact_tier.py")
    assert "certified" in done.stdout, done.stderr
    assert "10,000 binary channels" in done.stdout


def test_finite_control_runs_keeps_its_rows_and_says_what_was_missed(tmp_path):
    results = tmp_path / "rows.csv"
    arguments = ("--only", "CliffWalking", "--seeds", "1", "--steps", "500", "--results", str(results))
    first = run("finite_control.py", *arguments)
    assert first.returncode in (0, 1), first.stderr
    rows = results.read_bytes()
    again = run("finite_control.py", *arguments)
    assert results.read_bytes() == rows
    assert again.stdout == first.stdout
    assert "settings: temperature=0.01" in first.stdout


def test_objectives_prints_every_objective_beside_the_exact_posterior(tmp_path):
    done = run("objectives.py", "--seeds", "1", "--steps", "500", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name in ("elbo", "joint_elbo", "forward_kl", "sleep", "wake_sleep", "exact posterior"):
        assert f" {name} " in done.stdout
