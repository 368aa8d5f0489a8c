"""Every script under examples/benchmarks runs, here with tiny settings.

Cost: 100 s.
"""

import csv
import json
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch

from gio_pyro import GIO
from gio_pyro.programs import Guide

from .scripts import EXAMPLES, run
from .scripts import script as module


@pytest.mark.slow
def test_the_exact_tier_is_timed_and_certified():
    """This one from the command line."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "benchmarks" / "exact_tier.py")],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert "certified" in done.stdout, done.stderr
    assert "10,000 binary channels" in done.stdout


@pytest.mark.slow
def test_finite_control_runs_keeps_its_rows_and_says_what_was_missed(tmp_path):
    results = tmp_path / "rows.csv"
    arguments = ("--only", "FrozenLake", "--seeds", "1", "--steps", "500", "--results", str(results))
    first = run("finite_control.py", *arguments, "--folder", str(tmp_path / "runs"))
    assert first.returncode in (0, 1), first.stderr
    rows = results.read_bytes()
    again = run("finite_control.py", *arguments, "--folder", str(tmp_path / "nothing"))
    assert results.read_bytes() == rows
    sweeps = ("PYTHONPATH", "sweep folder", "1 of 1 runs")
    assert again.stdout.splitlines() == [row for row in first.stdout.splitlines() if not row.startswith(sweeps)]
    assert "settings: temperature=0.01" in first.stdout


@pytest.mark.slow
def test_objectives_prints_every_objective_beside_the_exact_posterior(tmp_path):
    where = ("--only", "FrozenLake", "--results", str(tmp_path), "--folder", str(tmp_path / "runs"))
    done = run("objectives.py", "--seeds", "1", "--steps", "100", *where)
    assert done.returncode == 0, done.stderr
    for name in ("elbo", "joint_elbo", "forward_kl", "sleep", "wake_sleep", "exact posterior"):
        assert f" {name} " in done.stdout


@pytest.mark.slow
def test_deep_control_runs_keeps_its_rows_and_says_what_was_missed(tmp_path):
    results = tmp_path / "deep.csv"
    command = ("deep_control.py", "--only", "CartPole", "--steps", "1100", "--seeds", "1", "--no-compile")
    command = (*command, "--folder", tmp_path / "runs")
    first = run(*command, "--results", results)
    assert first.returncode == 1
    assert "CartPole-v1: 0 of 1 seeds at 475 or better" in first.stdout
    assert "batch_size=128" in first.stdout
    before = results.read_text()
    assert run(*command, "--results", results).returncode == 1
    assert results.read_text() == before


@pytest.mark.slow
@pytest.mark.filterwarnings(r"ignore:jax\.:DeprecationWarning")  # where sbx is installed
def test_the_speed_benchmark_prints_paired_ratios_floors_and_aims(tmp_path):
    pytest.importorskip("stable_baselines3")
    results = tmp_path / "speed.csv"
    quick = ("--pairs", "1", "--steps", "10", "--rows", "10000", "--hidden", "128", "--no-compile")
    shown = run("speed.py", *quick, "--results", results)
    assert shown.returncode == 1, shown.stderr  # ten steps of FrozenLake are not 20,000 a second
    assert "| GIO, eager | " in shown.stdout
    assert "2 x 128: products of a layer run at" in shown.stdout
    rows = list(csv.DictReader(results.read_text().splitlines()))
    assert {row["what"] for row in rows} >= {*module("speed").OTHERS}
    agents = [row for row in rows if row["ratio"]]
    assert all(float(row["floor"]) < float(row["value"]) for row in agents if row["floor"])
    assert "FrozenLake" in (tmp_path / "speed-calls.txt").read_text()
    again = run("speed.py", "--only", "replay", "--rows", "10000", "--results", results)
    kept = csv.DictReader(results.read_text().splitlines())
    assert [row["what"] for row in kept] == [row["what"] for row in rows], again.stderr


def test_the_floor_of_an_update_counts_its_matrix_products():
    runners = module("speed_runners")
    x, w = torch.randn(5, 7), torch.randn(7, 3)
    assert runners.operations(lambda steps: x @ w) == 2 * 5 * 7 * 3
    assert runners.ratio([2.0, 8.0, 9.0], [1.0, 2.0, 9.0]) == 2.0


@pytest.mark.slow
def test_steps_through_elbos_of_pyro_are_timed(tmp_path):
    results = tmp_path / "rows.csv"
    shown = run("pyro_elbo.py", "--pairs", "1", "--results", results)
    assert shown.returncode in (0, 1), shown.stderr  # one pair proves nothing about speed
    assert "| `pyro.infer.SVI.step` by hand | " in shown.stdout
    assert results.read_text().count("\n") == 9


@pytest.mark.slow
def test_the_objectives_are_compared_on_pendulum(tmp_path):
    results = tmp_path / "objectives.csv"
    quick = ("--steps", "300", "--episodes", "2", "--seeds", "1", "--no-compile")
    shown = run("pendulum_objectives.py", *quick, "--results", results)
    assert shown.returncode == 0, shown.stderr
    assert [line.split(",")[0] for line in results.read_text().splitlines()[1:]] == [
        "sleep",
        "elbo",
        "wake_sleep",
        "forward_kl",
    ]


def test_useless_actions_compares_every_method_and_keeps_its_rows(tmp_path):
    results = tmp_path / "rows.csv"
    arguments = ("--seeds", "1", "--steps", "100", "--results", str(results))
    first = run("useless_actions.py", *arguments)
    assert first.returncode == 0, first.stderr
    for name in ("mirl", "mirl, fixed", "maximum entropy", "maximum entropy, greedy", "q-learning"):
        assert f" {name} " in first.stdout
    rows = results.read_bytes()
    assert run("useless_actions.py", *arguments).stdout == first.stdout
    assert results.read_bytes() == rows


@pytest.mark.slow
def test_the_sparse_maze_runs_every_member_keeps_its_rows_and_draws(tmp_path):
    results = tmp_path / "maze.csv"
    first = run("sparse_maze.py", "--quick", "--seeds", "1", "--results", str(results))
    assert first.returncode == 0, first.stderr
    rows = results.read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == [
        "gio", "gio + information gain", "mirl", "soft", "disagreement", "random network distillation",
        "epsilon-greedy q",
    ]  # fmt: skip
    assert "| 90 % success | m = 0 |" in first.stdout
    assert results.with_suffix(".png").stat().st_size > 10_000
    again = run("sparse_maze.py", "--quick", "--seeds", "1", "--results", str(results))
    assert again.stdout == first.stdout


@pytest.mark.parametrize(
    ("script", "rows", "quick", "shows"),
    [
        pytest.param(
            "linear_guides.py", 8, ("--seeds", "1", "--steps", "2"), "| `wake_sleep` | ", marks=pytest.mark.slow
        ),
        (
            "noisy_tv.py",
            6,
            ("--seeds", "1", "--steps", "200", "400"),
            "| paid for | after 200 steps | after 400 steps |",
        ),
    ],
)
def test_a_comparison_runs_and_keeps_its_rows(script: str, rows: int, quick: tuple[str, ...], shows: str, tmp_path):
    results = tmp_path / "rows.csv"
    first = run(script, *quick, "--results", str(results))
    assert first.returncode == 0, first.stderr
    assert shows in first.stdout
    written = results.read_text()
    assert written.count("\n") == 1 + rows
    assert run(script, *quick, "--results", str(results)).stdout == first.stdout
    assert results.read_text() == written


@pytest.mark.slow
def test_questions_are_answered_by_sweeps_whose_rows_are_kept(tmp_path):
    results = tmp_path / "rows.csv"
    words = ("mountain_car", "--seeds", "0", "--steps", "60", "--jobs", "2", "--folder", tmp_path, "--results", results)
    first = run("evidence.py", *words)
    assert first.returncode == 0, first.stderr
    assert "gio sweep MountainCarContinuous-v0 --steps 60 --seeds 0 --guide UniformGuide" in first.stdout
    assert "| MountainCarContinuous-v0, 60 steps | seeds | IQM | 95 % interval | lowest to highest |" in first.stdout
    rows = list(csv.DictReader(results.read_text().splitlines()))
    assert [(row["question"], row["seed"], row["steps"]) for row in rows] == [("mountain_car", "0", "60")] * 2
    assert "gio sweep" not in run("evidence.py", *words).stdout
    assert "no signal: 9 runs are missing" in run("evidence.py", "--results", results).stdout


@pytest.mark.slow
def test_the_throughput_of_sweeps_is_measured_in_pairs(tmp_path):
    done = run("throughput.py", "--quick", "--pairs", "1", "--results", tmp_path / "rows.csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [(row["environment"], row["jobs"]) for row in rows] == [("FrozenLake-v1", "1"), ("FrozenLake-v1", "2")]


def test_steps_upright_are_paid_in_the_second_half_of_an_episode_that_only_time_ends():
    """Against the height of the tip, from random states."""
    env = module("upright").Upright(gym.make("Acrobot-v1"))
    env.reset(seed=0)
    own, rng, limit = env.unwrapped, np.random.default_rng(0), env.spec.max_episode_steps
    up, paid, ended = [], [], []
    for _ in range(limit):
        own.state = rng.uniform(-np.pi, np.pi, 4)
        _, reward, *ends, _ = env.step(env.action_space.sample())
        first, second = own.state[:2]
        up.append(bool(-np.cos(first) - np.cos(first + second) > 1))
        paid.append(reward)
        ended.append(ends)
    half = limit // 2
    assert paid == [0.0] * half + [is_up / half for is_up in up[half:]]
    assert 0 < sum(up[half:]) < half
    assert ended == [[False, False]] * (limit - 1) + [[False, True]]


def test_a_new_users_commands_are_read_from_the_readme():
    readme = (EXAMPLES.parent / "README.md").read_text()
    first, train, again, second, tests = module("first_steps").commands(readme)
    assert (train, again, tests) == ("gio train", "gio train", "pytest")
    assert first.startswith("pip install -c constraints.txt -e .")
    assert second.endswith('".[test]"')


@pytest.mark.slow
def test_peers_are_trained_and_compared_with_rows_of_as_many_steps(tmp_path):
    quick = ("--only", "CartPole", "--seeds", "1", "--steps", "1100", "--results", tmp_path / "rows.csv")
    done = run("peers.py", *quick)
    assert done.returncode == 0, done.stderr
    assert "DQN, tuned,50000" not in (tmp_path / "rows.csv").read_text()
    assert "| gio_pyro | CartPole-v1 | 50,000 | 5 |" in done.stdout
    assert "DQN" not in done.stdout.split("| beside")[1], "fewer steps are not compared"


def test_agents_of_other_libraries_play_the_episodes_that_ours_do():
    agent = GIO("CartPole-v1", hidden=(4,), seed=0)
    others = module("judged").mean_return(agent, "CartPole-v1", 3)
    assert others == agent.evaluate(20, deterministic=True, seed=3).mean
    assert others != module("judged").mean_return(agent, "CartPole-v1", 4)
    assert {module("peers").evaluation_seed(name, 2) for name in ("Pendulum-v1", "Hopper-v5")} == {1_000_203, 1_000_005}


def test_a_spoiled_guide_is_twice_as_sure_of_the_same():
    agent = GIO("Pendulum-v1", hidden=(4,), seed=0)
    state = torch.randn(5, 3)
    learned = agent.guide.posterior(agent.policy, state, state + 0.1).base_dist
    spoiled = Guide(module("default_agent").Halved(agent.guide.program))
    halved = spoiled.posterior(agent.policy, state, state + 0.1).base_dist
    torch.testing.assert_close(halved.loc, learned.loc)
    torch.testing.assert_close(halved.scale, learned.scale / 2)


@pytest.mark.slow
def test_bits_that_changed_are_counted():
    done = run("bit_flips.py", "--flips", "8")
    assert done.returncode == 0, done.stderr
    assert "refused: " in done.stdout


@pytest.mark.learning
def test_a_run_that_is_killed_loses_an_interval_at_most_and_ends_bit_for_bit(tmp_path):
    results = tmp_path / "rows.csv"
    done = run("survival.py", "--only", "finite", "--kills", "1", "--terms", "1", "--results", str(results))
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("survival.py", "--only", "finite", "--kills", "1", "--terms", "1", "--results", results).returncode == 0


@pytest.mark.slow
def test_memory_keeps_a_log_of_resident_memory(tmp_path):
    results = tmp_path / "memory.csv"
    done = run("memory.py", "--steps", "1200", "--every", "300", "--results", str(results))
    assert done.returncode in (0, 1), done.stderr
    assert [line.split(",")[0] for line in results.read_text().split()] == ["step", "300", "600", "900", "1200"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::gio_pyro.errors.EntropyCollapseWarning")
def test_stacked_seeds_are_timed_beside_one_alone(tmp_path):
    results = tmp_path / "rows.csv"
    quick = ("--update", "eager", "--seeds", "1", "2", "--steps", "40")
    done = run("stacked_seeds.py", *quick, "--reports", "1", "--results", results)
    assert done.returncode in (0, 1), done.stderr  # so few steps prove nothing about time
    rows = list(csv.DictReader(results.read_text().splitlines()))
    assert [row["seeds"] for row in rows] == ["1", "2"]
    share = float(rows[1]["ms"]) / float(rows[0]["ms"])
    assert f"| eager | 2 | {rows[1]['ms']} | {share:.2f} |" in done.stdout


@pytest.mark.slow
def test_filters_are_compared_with_exact_ones_and_their_rows_kept(tmp_path):
    results = tmp_path / "rows.csv"
    arguments = ("--quick", "--seeds", "1", "--only", "Tiger", "--results", results)
    first = run("filters.py", *arguments)
    assert first.returncode == 1, first.stderr  # six updates do not reach the aims
    rows = list(csv.DictReader(results.read_text().splitlines()))
    assert [row["world model"] for row in rows] == ["exact", "given", "learned"]
    assert float(rows[0]["identity"]) <= 1e-5
    assert abs(float(rows[0]["gap"])) <= 1e-5
    before = results.read_bytes()
    assert run("filters.py", *arguments).stdout == first.stdout
    assert results.read_bytes() == before
    assert "| Tiger | exact | ForwardFilter | 1 of 1 |" in first.stdout


@pytest.mark.slow
def test_control_of_beliefs_is_compared_with_the_optimum_by_hand(tmp_path):
    """In the T-maze the right arm pays 1 and needs no time; the best is 1."""
    arguments = ("--quick", "--seeds", "1", "--only", "TMaze", "--results", tmp_path / "rows.csv")
    first = run("belief_optimum.py", *arguments)
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [(row["method"], float(row["optimum"])) for row in rows] == [("filter", 1.0)]
    found = [float(row["return"]) for row in rows]
    assert first.returncode == int(min(found) < 0.95)
    assert all(f"| a return of 1 | {value:.3f} |" in first.stdout for value in found)
    assert run("belief_optimum.py", *arguments).stdout == first.stdout


@pytest.mark.slow
def test_hidden_control_keeps_a_row_for_each_method_and_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(module("hidden_control"), "EPISODES", 2)
    arguments = ("--only", "PendulumAngle", "--seeds", "1", "--results", tmp_path / "rows.csv", "--folder", tmp_path)
    wanted = [("world", "30"), ("world", "40"), ("memoryless", "40")]
    for method, steps in wanted:
        done = run("hidden_control.py", *arguments, "--method", method, "--steps", steps)
        assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [(row["method"], row["step"]) for row in rows] == wanted
    (config,) = tmp_path.glob("PendulumAngle-v0-world/*/config.json")
    assert json.loads(config.read_text())["steps"] == 40


@pytest.mark.slow
def test_skills_play_in_the_worlds_of_the_questions(tmp_path, monkeypatch):
    monkeypatch.setattr(module("skills"), "EPISODES", 1)
    done = run("skills.py", "--seeds", "1", "--steps", "20", "--results", tmp_path / "rows.csv", "--folder", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| CartPole-v1, 20 steps | mean | 1 | " in done.stdout
    assert "| gio/NoisyPendulum-v0, 20 steps | best | 1 | " in done.stdout
    assert (tmp_path / "rows.csv").read_text().count("\n") == 17
