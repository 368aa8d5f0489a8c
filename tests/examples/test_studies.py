"""The studies of bias and of failing assumptions run, here a small part of each.

Cost: 40 s.
"""

import csv
import math
from pathlib import Path

import gymnasium as gym
import pytest
import torch

import gio_pyro as gio
from gio_pyro import tabular

from .scripts import run as started
from .scripts import script

Rows = list[dict[str, str]]


def run(script: str, results: Path) -> str:
    done = started(script, "--quick", "--results", results)
    assert done.returncode == 0, done.stderr
    return done.stdout


def studied(script: str, tmp_path: Path, columns: str, words: tuple[str, ...] = ()) -> Rows:
    """The rows of a quick run, which a second run leaves as they are; every number is finite."""
    results = tmp_path / "rows.csv"
    shown = run(script, results)
    written = results.read_bytes()
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(columns.split()) <= set(rows[0])
    assert all(math.isfinite(float(value)) for row in rows for name, value in row.items() if name not in words)
    assert results.with_suffix(".png").stat().st_size > 10_000
    assert run(script, results) == shown
    assert results.read_bytes() == written
    return rows


def as_kept(script_name: str, rows: Rows, column: str, tolerance: float) -> None:
    """Assert that rows say what the study's own rows say, which the documentation shows."""
    study = script(script_name)
    kept = study.Kept(study.RESULTS, study.KEYS)
    for row in rows:
        key = [row[name] for name in study.KEYS]
        assert float(row[column]) == pytest.approx(float(kept[key][column]), abs=tolerance), key


def number(rows: Rows, column: str, **where: str) -> float:
    (found,) = [float(row[column]) for row in rows if all(row[name] == value for name, value in where.items())]
    return found


@pytest.mark.slow
def test_a_generous_floor_costs_little_in_a_noisy_world_and_a_small_one_all_it_must(tmp_path):
    columns = "information model_floor guide_floor steps seed ceiling bound under_model bias amortisation_gap"
    rows = studied("continuous_actions.py", tmp_path, columns)
    assert abs(number(rows, "bias", information="0.5", model_floor="8", guide_floor="8")) < 0.1
    tight = {"information": "4", "model_floor": "8", "guide_floor": "1"}
    most = 0.5 * math.log(1 + 0.5**2 * math.exp(2)) + 0.5  # the guide's own scale, and no error of its mean
    assert number(rows, "ceiling", **tight) == pytest.approx(most, abs=0.01)
    assert most - 0.2 < number(rows, "bound", **tight) < most + 0.02


@pytest.mark.slow
def test_where_the_assumptions_hold_no_value_falls(tmp_path):
    columns = "case rounds world first last best gap falls largest_fall largest_fall_of_a_state gain_1 gain_20"
    rows = studied("when_assumptions_fail.py", tmp_path, columns, words=("case",))
    for case in ("control", "missing"):
        mine = [row for row in rows if row["case"] == case]
        assert len(mine) == 12
        assert all(float(row["falls"]) == float(row["falls_of_a_state"]) == 0 for row in mine)
        assert max(float(row["largest_fall_of_a_state"]) for row in mine) < 1e-9
    gaps = {case: max(float(row["gap"]) for row in rows if row["case"] == case) for case in ("control", "missing")}
    assert gaps["control"] < 1e-3 < gaps["missing"]
    as_kept("when_assumptions_fail", rows, "last", 1e-4)


@pytest.mark.slow
def test_the_bias_is_the_sum_of_its_parts_and_small_where_every_pair_was_seen_often(tmp_path):
    columns = "states noise transitions seed model guide exact by_counts under_model learned bias"
    rows = studied("posterior_bias.py", tmp_path, columns, words=("model", "guide"))
    for row in rows:
        parts = [float(row[name]) for name in ("error_of_the_data", "error_of_the_fit", "amortisation_gap")]
        assert float(row["bias"]) == pytest.approx(parts[0] + parts[1] - parts[2], abs=1e-5)
        if row["guide"] == "bayes":
            assert abs(parts[2]) < 1e-5
        if row["states"] == "4":
            assert abs(float(row["bias"])) < 0.05
    as_kept("posterior_bias", rows, "bias", 0.01)
    as_kept("posterior_bias", script("posterior_bias").run(256, 0.1, 5_000, 0, "table"), "bias", 0.02)


@pytest.mark.slow
def test_dreams_are_compared_with_the_same_loop_without(tmp_path):
    rows = studied("dreaming.py", tmp_path, "share seed steps return")
    assert [(row["share"], row["steps"]) for row in rows] == [(x, y) for x in ("0", "0.9") for y in ("250", "500")]
    assert all(0 <= float(row["return"]) <= 0.7442 for row in rows)
    as_kept("dreaming", rows, "return", 0.02)


@pytest.mark.slow
def test_every_schedule_of_training_runs_and_is_kept(tmp_path):
    results = tmp_path / "rows.csv"
    run("training_schedules.py", results)
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["training"] for row in rows if row["world"] == "FrozenLake-v1"] == [
        "joint", "alternating", "joint", "alternating", "svi",
    ]  # fmt: skip
    assert [row["note"] for row in rows if row["world"] != "Pendulum-v1"] == [""] * 10
    written = results.read_bytes()
    run("training_schedules.py", results)
    assert results.read_bytes() == written


@pytest.mark.slow
def test_learned_empowerment_is_compared_with_the_exact_and_timed(tmp_path):
    results = tmp_path / "rows.csv"
    shown = run("variational_empowerment.py", results)
    assert "klyubin  n =  1, seed 0: exact 1.407" in shown
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["maze"] for row in rows] == ["klyubin", "cost", "cost"]
    assert float(rows[0]["error"]) < 0.3
    assert float(rows[0]["rank_most"]) == pytest.approx(0.909, abs=0.001)
    assert results.with_suffix(".png").stat().st_size > 10_000
    assert run("variational_empowerment.py", results) == shown


def test_the_pendulum_that_is_paid_for_empowerment_stands_and_the_one_that_is_paid_for_information_does_not():
    study = script("pendulum_without_reward")
    env = gym.make(study.WORLD)
    mdp, places = tabular.TabularMDP.from_env(env, discount=study.DISCOUNT), env.unwrapped.places.round(9)
    most = tabular.optimal_return(mdp, study.STEPS)
    reward, empowerment, information, nothing = (
        tabular.expected_return(mdp, study.best(mdp, paid), study.STEPS) for paid in study.objectives((1,))
    )
    assert most - 0.2 < reward <= most
    assert 0.9 * most < empowerment < reward
    assert max(information, nothing) < 0.15 * most
    at_rest = [int((places == place).all(-1).argmax()) for place in ([0, 0], [round(math.pi, 9), 0])]
    assert tabular.empowerment(mdp, 1)[at_rest].tolist() == pytest.approx([0.77, 0.66], abs=0.005)


@pytest.mark.parametrize("observations", ["state", "coordinates"])
def test_agents_that_learned_empowerment_are_judged_by_the_exact_one(observations: str):
    """One that has learned for a moment, and the same agent with the exact values in the place of its own."""
    study = script("pendulum_without_reward")
    env = gym.make(study.WORLD, observations=observations)
    mdp = tabular.TabularMDP.from_env(env, discount=study.DISCOUNT)
    exact = tabular.empowerment(mdp, 1)

    class Exact(torch.nn.Module):
        def evaluate(self, state: torch.Tensor) -> tuple[None, torch.Tensor]:
            assert len(state) == mdp.states
            return None, exact

    agent = gio.GIO(env, guide="UniformGuide", signal="Empowerment(1)", seed=7, learning_starts=100).learn(300)
    row = study.judged(mdp, agent)
    assert (row["horizon"], row["seed"], row["steps"]) == (1, 7, 300)
    assert 0.1 < row["error"] < exact.mean()
    agent.reward_mix.signal.averaged.module = Exact()
    knowing = study.judged(mdp, agent)
    assert (knowing["error"], knowing["return"]) == (0, row["return"])
    assert knowing["best"] == pytest.approx(64.9, abs=0.1)


@pytest.mark.slow
def test_ways_of_estimating_empowerment_are_compared_with_the_exact_value(tmp_path):
    results = tmp_path / "rows.csv"
    shown = run("empowerment_errors.py", results)
    with results.open(newline="") as file:
        uniform, contrastive, gaussian = csv.DictReader(file)
    assert [row["method"] for row in (uniform, contrastive, gaussian)] == [
        "uniform actions",
        "contrastive",
        "Gaussian channel",
    ]
    assert float(uniform["exact"]) == pytest.approx(2.029651 * math.log(2), abs=1e-5)
    errors = script("empowerment_errors")
    maze = errors.world("klyubin")
    exact = tabular.mutual_information(maze.mdp.transition, maze.mdp.uniform)[maze.free]
    torch.testing.assert_close(errors.uniform_information(maze.channel(1)), exact)
    assert "| klyubin | contrastive | " in shown
    assert run("empowerment_errors.py", results) == shown


def test_the_assumptions_of_the_theorem_are_measured_on_exact_optima(tmp_path):
    results = tmp_path / "rows.csv"
    shown = run("assumptions.py", results)
    with results.open(newline="") as file:
        lake, *others = csv.DictReader(file)
    assert [row["environment"] for row in others] == ["CliffWalking-v1", "Taxi-v4"]
    # from a uniform first policy KL is what is left of log A
    assert float(lake["kl"]) == pytest.approx(math.log(4) - float(lake["entropy"]), abs=1e-5)
    assert 0 <= float(lake["least_paid"]) <= float(lake["most_paid"]) <= math.log(4)
    assert float(lake["q"]) < float(lake["q_bound"])
    assert "| FrozenLake-v1 | exact |" in shown


@pytest.mark.slow
def test_a_future_that_is_the_next_state_by_another_name_learns_the_same(tmp_path):
    results = tmp_path / "rows.csv"
    arguments = ("--quick", "--only", "not slippery", "--results", results)
    done = started("default_future.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert "| FrozenLake, not slippery, no reward | 1,000 | +0 [+0, +0] | +0 [+0, +0] | " in done.stdout
    with results.open(newline="") as file:
        state, both = csv.DictReader(file)
    assert [state.pop("future"), both.pop("future")] == ["NextState", "NextStateAndReward"]
    assert float(state.pop("seconds")) > 0 < float(both.pop("seconds"))
    assert state == both
    assert float(state["nats"]) == pytest.approx(float(state["exact"]), abs=0.1)


@pytest.mark.slow
def test_leave_one_out_is_read_with_latent_actions_and_with_weights(tmp_path):
    results = tmp_path / "rows.csv"
    shown = run("leave_one_out.py", results)
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    latent = [f"latent, {what}" for what in ("by number", "whole future", "true posterior")]
    assert [row["likelihood"] for row in rows] == [*latent, "predicted tail", "weights"]
    assert all(0 <= float(row["above_1"]) <= float(row["above_0.7"]) <= 1 for row in rows)
    assert run("leave_one_out.py", results) == shown


@pytest.mark.slow
def test_the_projection_comes_to_the_known_optimum_at_a_cost_that_hardly_grows(tmp_path):
    rows = studied("projection.py", tmp_path, "dimensions seed steps kl largest ms")
    for dimensions in ("1", "17"):
        kl = [float(row["kl"]) for row in rows if row["dimensions"] == dimensions]
        assert kl[-1] < kl[0] / 2
    assert number(rows, "kl", dimensions="1", steps="300") < 0.2
    assert number(rows, "ms", dimensions="17", steps="300") < 3 * number(rows, "ms", dimensions="1", steps="300")
