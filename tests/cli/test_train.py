import contextlib
import csv
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from math import log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gio_pyro as gio_library
from gio_pyro.checkpointing import file_format
from gio_pyro.cli import stopping, training
from gio_pyro.errors import InputError
from tests.agents import differences
from tests.cli.shell import gio, train
from tests.environments import corridor_table, register
from tests.slow import slow_but
from tests.spaces import GUIDES, MODELS

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
OWN_PROGRAM = """
import pyro, torch
import pyro.distributions as dist
from torch import nn

class Own(nn.Module):
    def __init__(self, spec):
        super().__init__()
        sizes = (int(s.n) for s in (spec.state_space, spec.action_space, spec.future_space))
        self.table = nn.Parameter(torch.zeros(*sizes))

    def forward(self, policy, state, future=None):
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=self.table[state, action]), obs=future)
"""


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = tmp_path_factory.mktemp("trained") / "run"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = train("FrozenLake-v1", "--out", path, "--seed", 3, steps=1000)
    return SimpleNamespace(path=path, status=status, printed=printed.getvalue(), files=names_in(path))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play an episode or two instead of twenty, and make no film."""
    monkeypatch.setattr(training, "BEFORE", 2)
    monkeypatch.setattr(training, "AFTER", 1)
    monkeypatch.setattr(training, "can_film", lambda agent: False)


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures and tables at the end, which take a second."""
    monkeypatch.setattr(training, "_finish", lambda *_: None)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def steps_of(folder: Path) -> list[float]:
    return [float(row["time/total_timesteps"]) for row in rows(folder)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestRunFolder:
    def test_ends_with_status_zero(self, run: Any):
        assert run.status == 0

    def test_holds_what_is_documented_and_nothing_left_over(self, run: Any):
        maps = {"learning_curve.png", "policy.png", "episode.gif"}
        files = {"config.json", "metrics.csv", "checkpoint.pt", "summary.json", "posterior.nc", "tensorboard"}
        assert run.files == files | maps

    def test_config_holds_every_setting_environment_and_program(self, run: Any):
        config = json.loads((run.path / "config.json").read_text())
        assert config["environment"]["id"] == "FrozenLake-v1"
        assert config["programs"] == {"model": "CategoricalModel", "guide": "CategoricalGuide"}
        assert config["settings"]["seed"] == 3
        config["settings"]["hidden"] = tuple(config["settings"]["hidden"])
        assert gio_library.Settings(**config["settings"]).seed == 3
        assert config["steps"] == 1000

    def test_metrics_have_one_row_a_round(self, run: Any):
        assert steps_of(run.path) == [500.0, 1000.0]
        assert all(abs(float(row["intrinsic/nats"])) <= log(4) for row in rows(run.path))

    def test_checkpoint_is_at_the_last_step(self, run: Any):
        assert gio_library.GIO.load(run.path).steps == 1000

    def test_summary_repeats_the_printed_table(self, run: Any):
        summary = json.loads((run.path / "summary.json").read_text())
        assert summary["steps"] == 1000
        assert f"{summary['return_learned']:.4f}" in run.printed
        assert f"{summary['information_exact']:.4f} nats" in run.printed

    def test_tensorboard_has_an_event_file(self, run: Any):
        assert [path for path in (run.path / "tensorboard").iterdir() if path.stat().st_size > 100]

    @pytest.mark.parametrize("name", ["learning_curve.png", "policy.png"])
    def test_pictures_are_whole_and_of_sane_size(self, run: Any, name: str):
        from PIL import Image

        with Image.open(run.path / name) as image:
            image.load()
            assert image.format == "PNG"
            assert all(200 <= side <= 4000 for side in image.size)
            assert len(image.convert("RGB").getcolors(1 << 24)) > 10

    def test_posterior_opens_in_arviz_with_its_groups_and_dims(self, run: Any):
        from gio_pyro.diagnostics.arviz_versions import arviz

        data = arviz().from_netcdf(str(run.path / "posterior.nc"))
        groups = {"posterior", "prior", "posterior_predictive", "sample_stats"}
        assert set(data.groups()) == groups | {"observed_data", "constant_data"}
        assert data.posterior["action"].dims == ("chain", "draw", "transition")
        assert data.observed_data["future"].dims == ("transition",)

    def test_the_table_is_printed_with_its_rows(self, run: Any):
        for row in ("return before", "return after", "return of the optimal", "MI, learned", "MI, exact", "gap"):
            assert row in run.printed
        assert f"run folder: {run.path}" in run.printed


def learned(path: Path, *arguments: object, steps: int) -> SimpleNamespace:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = train(*arguments, "--out", path, steps=steps)
    return SimpleNamespace(path=path, status=status, printed=printed.getvalue(), files=names_in(path))


@pytest.fixture(scope="module")
def poles(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of networks over discrete actions that is long enough to improve."""
    path = tmp_path_factory.mktemp("poles") / "run"
    small = ("--hidden", 8, "--batch-size", 32, "--train-freq", 20)
    return learned(path, "CartPole-v1", *small, "--env.sutton_barto_reward=false", steps=1500)


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = tmp_path_factory.mktemp("pendulum") / "run"
    world = ("--env.g=9", "--env.max_episode_steps=40")
    return learned(path, "--hidden", 8, "--temperature", "auto:0.5", *world, steps=300)


def each_kind_once(cases: list[tuple[str, str]]) -> list[Any]:
    """Mark all cases as slow but the first of each flag."""
    first = dict(reversed(cases))
    return [case if first[case[0]] == case[1] else pytest.param(*case, marks=pytest.mark.slow) for case in cases]


class TestNetworks:
    @pytest.mark.parametrize("which", slow_but(["poles", "pendulum"], "poles"))
    def test_a_run_holds_what_is_documented(self, which: str, request: pytest.FixtureRequest):
        run = request.getfixturevalue(which)
        assert run.status == 0
        files = {"config.json", "metrics.csv", "checkpoint.pt", "summary.json", "posterior.nc", "tensorboard"}
        assert run.files == files | {"learning_curve.png", "episode.gif"}

    def test_arguments_are_recorded(self, poles: Any, pendulum: Any):
        config = json.loads((poles.path / "config.json").read_text())
        assert config["environment"]["kwargs"] == {"max_episode_steps": 500, "sutton_barto_reward": False}
        assert config["settings"]["hidden"] == [8]
        config = json.loads((pendulum.path / "config.json").read_text())
        assert config["environment"] == {"id": "Pendulum-v1", "kwargs": {"max_episode_steps": 40, "g": 9}}
        assert config["settings"]["temperature"] == "auto:0.5"

    def test_the_table_is_printed_and_kept(self, poles: Any):
        summary = json.loads((poles.path / "summary.json").read_text())
        assert summary["steps"] == 1500
        assert summary["episodes"] == 20
        for row, figure in (
            ("return before (untrained, sampled actions)", f"{summary['return_before']:.4g} ±"),
            ("return after (most probable actions)", f"{summary['return_after']:.4g} ±"),
            ("mean MI bound", f"{summary['intrinsic_nats']:.4f} nats"),
            ("entropy of the policy", f"{summary['entropy']:.4f} nats"),
            ("steps per second", f"{summary['steps_per_second']:.0f}"),
        ):
            assert re.search(f"{re.escape(row)} +{re.escape(figure)}", poles.printed), row

    def test_return_after_is_that_of_the_saved_agent(self, poles: Any):
        summary = json.loads((poles.path / "summary.json").read_text())
        played = gio_library.GIO.load(poles.path).evaluate(20, deterministic=True)
        assert (summary["return_after"], summary["return_after_error"]) == (played.mean, played.standard_error)

    def test_figures_of_learning_begin_when_it_does(self, poles: Any):
        assert steps_of(poles.path) == [500.0, 1000.0, 1500.0]
        table = rows(poles.path)
        assert [row["train/actor_loss"] == "nan" for row in table] == [True, False, False]
        assert all(float(row["time/fps"]) > 0 for row in table)

    def test_names_are_those_of_stable_baselines(self, poles: Any):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(poles.path / "tensorboard"))
        events.Reload()
        names = {
            "rollout/ep_rew_mean", "rollout/ep_len_mean", "time/total_timesteps", "time/fps",
            "train/actor_loss", "train/critic_loss", "train/ent_coef", "train/learning_rate",
        }  # fmt: skip
        assert names <= set(events.Tags()["scalars"])
        assert [event.step for event in events.Scalars("train/critic_loss")] == [1000, 1500]

    @pytest.mark.slow
    @pytest.mark.usefixtures("brief")
    def test_before_the_first_episode_has_ended_there_is_a_curve(self, tmp_path: Path):
        assert train("--hidden", 8, "--out", tmp_path / "run", steps=60) == 0
        assert rows(tmp_path / "run")[0]["rollout/ep_rew_mean"] == "nan"
        assert (tmp_path / "run" / "learning_curve.png").stat().st_size > 1000

    def test_posterior_has_the_dimensions_of_vectors(self, pendulum: Any):
        from gio_pyro.diagnostics.arviz_versions import arviz

        data = arviz().from_netcdf(str(pendulum.path / "posterior.nc"))
        assert data.posterior["action"].dims == ("chain", "draw", "transition", "action_dim")
        assert data.posterior_predictive["future"].sizes["future_dim"] == 3
        assert data.sample_stats["log_p"].dims == ("chain", "draw", "transition")

    @pytest.mark.parametrize(("which", "status"), [("poles", 1), pytest.param("pendulum", 2, marks=pytest.mark.slow)])
    def test_evaluate_plays_and_diagnose_judges_what_has_seen_enough(
        self, which: str, status: int, request: pytest.FixtureRequest, capsys: Any
    ):
        run = request.getfixturevalue(which)
        assert gio("evaluate", run.path, "--episodes", 2) == 0
        assert "return, played" in capsys.readouterr().out
        assert gio("diagnose", run.path) == status
        printed = capsys.readouterr()
        if status == 1:
            assert "Verdict: do not believe" in printed.out
            assert (run.path / "diagnosis.html").exists()
        else:
            assert printed.err.startswith("gio: Expected an agent that has learned from 1,000 steps at least, but this")
            assert len(printed.err.splitlines()) == 1

    @pytest.mark.slow
    @pytest.mark.usefixtures("brief")
    def test_it_goes_on_where_it_was_and_remembers_how_it_began(self, tmp_path: Path, capsys: Any):
        run = tmp_path / "run"
        assert train("CartPole-v1", "--hidden", 8, "--envs", 2, "--out", run, steps=300) == 0
        began = json.loads((run / "summary.json").read_text())
        assert train("--resume", run, steps=300) == 0
        goes_on = json.loads((run / "summary.json").read_text())
        assert goes_on["return_before"] == began["return_before"]
        assert gio_library.GIO.load(run).env.num_envs == 2
        for mistake in (
            "--envs=2",
            "--env.g=9",
            "--hidden=8",
            "--learning-rate=0.1",
            "--compile=true",
            "--intrinsic=replayed",
        ):
            capsys.readouterr()
            assert train("--resume", run, mistake, steps=10) == 2
            assert "keep the run's own settings" in capsys.readouterr().err

    @pytest.mark.slow
    @pytest.mark.usefixtures("brief")
    def test_a_run_that_was_resumed_is_the_run_that_was_not(self, tmp_path: Path):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "_finish", lambda *_: None)
            small = ("--hidden", 8, "--learning-starts", 40, "--batch-size", 16, "--log-interval", 50)
            for name, first in (("whole", 240), ("halves", 120)):
                assert train("CartPole-v1", *small, "--out", tmp_path / name, steps=first) == 0
            assert train("--resume", tmp_path / "halves", steps=120) == 0
        assert differences(*(file_format.read(tmp_path / name) for name in ("whole", "halves"))) == []

    def test_wrappers_are_named_again(self, tmp_path: Path, capsys: Any):
        run, wrapper = tmp_path / "run", "gymnasium.wrappers:FlattenObservation"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "_finish", lambda *_: None)
            assert train("CartPole-v1", "--hidden", 8, "--wrapper", wrapper, "--out", run, steps=20) == 0
            assert train("--resume", run, steps=20) == 2
            assert "--wrapper" in capsys.readouterr().err
            assert train("--resume", run, "--wrapper", "gymnasium.wrappers:RecordEpisodeStatistics", steps=20) == 2
            assert "the run's own wrappers" in capsys.readouterr().err
            assert train("--resume", run, "--wrapper", wrapper, steps=20) == 0
        assert gio("evaluate", run, "--wrapper", wrapper, "--episodes", 1) == 0

    @pytest.mark.slow
    @pytest.mark.usefixtures("brief")
    def test_a_world_that_a_module_registers_is_named_again(self, tmp_path: Path, capsys: Any):
        pytest.importorskip("minigrid")
        env, run = "minigrid:MiniGrid-Empty-5x5-v0", tmp_path / "runs" / "MiniGrid-Empty-5x5-v0-001"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            assert train(env, "--hidden", 8, "--env.max_steps=30", steps=100) == 0
            said = capsys.readouterr().err
            assert said.startswith("gio: Expected observations of numbers, but mission")
            assert len(said.splitlines()) == 1
            assert train("--resume", run, env, steps=100) == 0
        assert json.loads((run / "config.json").read_text())["environment"]["kwargs"]["max_steps"] == 30

    @pytest.mark.usefixtures("brief")
    def test_a_method_that_bounds_no_information_says_so(self, tmp_path: Path, capsys: Any):
        run = tmp_path / "run"
        assert train("CartPole-v1", "--hidden", 8, "--guide", "UniformGuide", "--out", run, steps=60) == 0
        assert re.search(r"mean intrinsic reward +\S+ nats, not MI", capsys.readouterr().out)
        assert json.loads((run / "summary.json").read_text())["guide_sees_future"] is False


class TestOut:
    def test_an_existing_folder_is_refused_and_left_untouched(self, run: Any, capsys: Any):
        before = contents(run.path)
        assert train("FrozenLake-v1", "--out", run.path) == 2
        assert capsys.readouterr().err.startswith("gio: ")
        assert contents(run.path) == before

    def test_an_existing_empty_folder_and_a_file_are_refused(self, tmp_path: Path):
        (tmp_path / "file").write_text("mine")
        (tmp_path / "empty").mkdir()
        assert (
            train("FrozenLake-v1", "--out", tmp_path / "file")
            == train("FrozenLake-v1", "--out", tmp_path / "empty")
            == 2
        )
        assert (tmp_path / "file").read_text() == "mine"
        assert not list((tmp_path / "empty").iterdir())

    @pytest.mark.usefixtures("unjudged")
    def test_default_folders_are_numbered_and_never_reused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "runs" / "FrozenLake-v1-002").mkdir(parents=True)
        assert train("FrozenLake-v1", steps=0) == train("FrozenLake-v1", steps=0) == 0
        assert not list((tmp_path / "runs" / "FrozenLake-v1-002").iterdir())
        names = sorted(path.name for path in (tmp_path / "runs").iterdir())
        assert names == ["FrozenLake-v1-001", "FrozenLake-v1-002", "FrozenLake-v1-003"]

    @pytest.mark.usefixtures("unjudged")
    def test_missing_parents_are_made(self, tmp_path: Path):
        assert train("FrozenLake-v1", "--out", tmp_path / "a" / "b", steps=0) == 0
        assert (tmp_path / "a" / "b" / "checkpoint.pt").is_file()

    @pytest.mark.parametrize("mistake", [("--steps", "-1"), ("--guide", "own.py:Siteless"), ("--seed", str(2**70))])
    def test_a_mistake_leaves_no_folder_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: tuple[str, str]
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own.py").write_text("def Siteless(policy, state, future):\n    return state\n")
        with contextlib.suppress(Exception):  # whether it is one sentence is asked elsewhere
            assert gio("train", "FrozenLake-v1", "--out", "run", *mistake, "--quiet") == 2
        assert not (tmp_path / "run").exists()

    def test_an_error_before_the_first_step_leaves_no_folder_behind(self, tmp_path: Path, capsys: Any):
        assert train("Pendulum-v1", "--hidden", 8, "--env.g=abc", "--out", tmp_path / "run") == 2
        said = capsys.readouterr().err
        assert "TypeError" in said
        assert "saved" not in said
        assert not list(tmp_path.iterdir())

    @pytest.mark.usefixtures("unjudged")
    def test_an_error_leaves_a_folder_that_was_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        run = tmp_path / "run"
        assert train(register(monkeypatch), "--out", run, steps=0) == 0

        def fail(*_: object, **__: object) -> None:
            raise InputError("Expected luck, but got none.")

        monkeypatch.setattr(training, "_learn", fail)
        assert train("--resume", run, steps=10) == 2
        assert gio_library.GIO.load(run).steps == 0

    def test_an_error_after_that_says_what_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        run = tmp_path / "run"
        env = register(monkeypatch, reward=lambda step: float("nan") if step > 700 else 0.0)
        assert train(env, "--out", run, "--checkpoint-every", 1, steps=1000) == 2
        assert capsys.readouterr().err.endswith(f"; step 500 is saved in {run}.\n")
        assert file_format.read(run)["steps"] == 500


class TestArguments:
    @pytest.mark.usefixtures("brief")
    def test_no_steps_leave_a_run_that_goes_on(self, tmp_path: Path, capsys: Any):
        run = tmp_path / "run"
        assert train("FrozenLake-v1", "--out", run, steps=0) == 0
        assert capsys.readouterr().out == f"No step was taken, so nothing was learned.\n\nrun folder: {run}\n"
        assert gio_library.GIO.load(run).steps == 0
        assert train("--resume", run, steps=500) == 0
        assert gio_library.GIO.load(run).steps == 500

    @pytest.mark.parametrize("guide", GUIDES["finite"])
    @pytest.mark.usefixtures("unjudged")
    def test_every_guide_trains_and_resumes_without_being_named_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guide: str
    ):
        run = tmp_path / "run"
        assert train(register(monkeypatch), "--out", run, "--guide", guide, steps=100) == 0
        assert json.loads((run / "config.json").read_text())["programs"]["guide"] == guide
        assert train("--resume", run, steps=100) == 0
        assert gio_library.GIO.load(run).steps == 200

    @pytest.mark.parametrize(
        ("flag", "value"),
        each_kind_once(
            [("model", name) for name in MODELS["vector, continuous"]]
            + [("guide", name) for name in GUIDES["vector, continuous"] if name != "UniformGuide"]
            + [("future", text) for text in ("Return(3, 0.9)", "Trajectory(2)", "NextStateAndReward", "FinalState(2)")]
            + [("objective", name) for name in ("trajectory_elbo", "weighted_trajectory_elbo")]
        ),
    )
    @pytest.mark.usefixtures("unjudged")
    def test_swapping_is_one_flag(self, tmp_path: Path, flag: str, value: str):
        run = tmp_path / "run"
        small = ("--hidden", 8, "--steps", 40, "--quiet")
        assert gio("train", "Pendulum-v1", "--out", run, f"--{flag}", value, *small) == 0
        config = json.loads((run / "config.json").read_text())
        assert (config["programs"] | config["settings"] | {"future": config["future"]})[flag].startswith(value[:6])
        assert gio("train", "--resume", run, "--steps", 10, "--quiet") == 0

    @pytest.mark.usefixtures("unjudged")
    def test_a_program_of_ones_own_comes_from_a_file_and_is_named_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own.py").write_text(OWN_PROGRAM)
        assert train(register(monkeypatch), "--out", "run", "--model", "own.py:Own", steps=100) == 0
        assert train("--resume", "run", "--model", "own.py:Own", steps=100) == 0
        assert gio("evaluate", "run", "--model", "own.py:Own", "--episodes", 1) == 0
        assert gio("evaluate", "run", "--episodes", 1) == 2

    @pytest.mark.usefixtures("unjudged")
    def test_resuming_does_not_put_a_built_in_program_in_the_place_of_ones_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own.py").write_text(OWN_PROGRAM)
        assert train(register(monkeypatch), "--out", "run", "--model", "own.py:Own", steps=100) == 0
        assert train("--resume", "run", steps=100) == 2

    @pytest.mark.usefixtures("brief")
    @pytest.mark.parametrize("env", ["CliffWalking-v1", pytest.param("Taxi-v4", marks=pytest.mark.slow)])
    def test_other_worlds_of_toy_text_train(self, tmp_path: Path, env: str):
        assert train(env, "--out", tmp_path / "run", steps=500) == 0
        assert (tmp_path / "run" / "policy.png").exists() == (env == "CliffWalking-v1")

    def test_a_world_without_a_table_trains(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        env = register(monkeypatch)
        assert train(env, "--out", tmp_path / "run", steps=100) == 0
        assert (tmp_path / "run" / "posterior.nc").exists()
        summary = json.loads((tmp_path / "run" / "summary.json").read_text())
        assert summary["steps"] == 100
        assert summary["return_before"] < 0

    def test_a_world_whose_policies_all_earn_the_same_trains(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        env = register(monkeypatch, reward=lambda step: 0.0, table=corridor_table(reward=0.0))
        assert train(env, "--out", tmp_path / "run", steps=100) == 0

    def test_a_world_without_end_or_limit_trains(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        env = register(monkeypatch, limit=None, endless=True, table=corridor_table(endless=True))
        assert train(env, "--out", tmp_path / "run", steps=100) == 0
        assert (tmp_path / "run" / "posterior.nc").exists()

    @pytest.mark.usefixtures("brief")
    def test_one_seed_gives_one_run(self, tmp_path: Path):
        for name in ("a", "b"):
            assert train("FrozenLake-v1", "--out", tmp_path / name, "--seed", 5, steps=500) == 0
        for name in ("summary.json", "config.json"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        first, second = (rows(tmp_path / name) for name in ("a", "b"))
        assert [row | {"time/fps": ""} for row in first] == [row | {"time/fps": ""} for row in second]


class TestResume:
    @pytest.mark.usefixtures("brief")
    def test_step_counts_go_on_and_metrics_are_appended(self, tmp_path: Path):
        run = tmp_path / "run"
        assert train("FrozenLake-v1", "--out", run, steps=700) == 0
        first = (run / "metrics.csv").read_bytes()
        assert train("--resume", run, steps=600) == 0
        assert steps_of(run) == [500.0, 700.0, 1200.0, 1300.0]
        assert (run / "metrics.csv").read_bytes().startswith(first)
        assert json.loads((run / "summary.json").read_text())["steps"] == 1300

    @pytest.mark.usefixtures("unjudged")
    def test_rows_past_the_checkpoint_do_not_stay_beside_those_that_replace_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        run = tmp_path / "run"
        assert train(register(monkeypatch), "--out", run, steps=500) == 0
        kept = (run / "checkpoint.pt").read_bytes()
        assert train("--resume", run, steps=500) == 0
        (run / "checkpoint.pt").write_bytes(kept)  # as after a kill before the second checkpoint
        assert train("--resume", run, steps=1000) == 0
        assert steps_of(run) == [500.0, 1000.0, 1500.0]

    @pytest.mark.parametrize("cut", [0, 60, -7])
    @pytest.mark.usefixtures("brief")
    def test_a_row_that_was_cut_off_does_not_stop_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int):
        run = tmp_path / "run"
        with monkeypatch.context() as patch:
            patch.setattr(training, "_finish", lambda *_: None)
            assert train(register(monkeypatch), "--out", run, steps=100) == 0
        whole = (run / "metrics.csv").read_bytes()
        (run / "metrics.csv").write_bytes(whole[:cut])
        assert train("--resume", run, steps=100) == 0
        assert steps_of(run)[-1] == 200.0

    @pytest.mark.usefixtures("unjudged")
    def test_the_checkpoint_file_may_be_named_instead_of_the_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        assert train(register(monkeypatch), "--out", tmp_path / "run", steps=100) == 0
        assert train("--resume", tmp_path / "run" / "checkpoint.pt", steps=100) == 0
        assert steps_of(tmp_path / "run") == [100.0, 200.0]

    @pytest.mark.usefixtures("unjudged")
    def test_a_run_that_is_done_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        run = tmp_path / "run"
        assert train(register(monkeypatch), "--out", run, steps=20) == 0
        before = contents(run)
        capsys.readouterr()
        assert gio("train", "--resume", run, "--quiet") == 2
        said = f"Expected a run with steps left to take, but {run} has taken its 20; say with --steps how many more"
        assert capsys.readouterr().err.startswith(f"gio: {said}")
        assert contents(run) == before

    @pytest.mark.usefixtures("unjudged")
    def test_another_environment_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        run = tmp_path / "run"
        env = register(monkeypatch)
        assert train(env, "--out", run, steps=20) == 0
        for command in (("train", "--resume", run, "CartPole-v1"), ("evaluate", run, "--env", "CartPole-v1")):
            assert gio(*command) == 2
            assert f"Expected {env}, which the run is of, but got CartPole-v1" in capsys.readouterr().err

    @pytest.mark.usefixtures("unjudged")
    def test_left_over_parts_do_not_stop_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        run = tmp_path / "run"
        assert train(register(monkeypatch), "--out", run, steps=100) == 0
        for name in ("checkpoint.ptabc.part", "summary.json.part", "config.json.part"):
            (run / name).write_bytes(b"half")
        assert train("--resume", run, steps=100) == 0


class TestInterruptInProcess:
    def test_what_is_said_after_learning_is_true(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(training, "_finish", interrupted)
        assert train("FrozenLake-v1", "--out", tmp_path / "run", steps=100) == 130
        assert gio_library.GIO.load(tmp_path / "run").steps == 100
        said = capsys.readouterr().err
        assert f"gio train --resume {tmp_path / 'run'}\n" in said  # nothing is left but to judge it
        assert "nothing was written" not in said
        assert "before anything was learned" not in said

    def test_the_callers_handler_is_put_back(self, tmp_path: Path):
        before = signal.getsignal(signal.SIGINT)
        assert train("FrozenLake-v1", "--out", tmp_path / "run", steps=0) == 0
        assert signal.getsignal(signal.SIGINT) is before


KILLER = """
import os, signal, time
import torch.utils.tensorboard
import gio_pyro
from gio_pyro.cli import commands, main, training
gio_pyro.GIO("FrozenLake-v1").learn(20)  # so that the first round of a child is quick
for number, seconds in enumerate((0.0, 0.05, 0.7)):
    child = os.fork()
    if not child:
        main.entry_point(f"train FrozenLake-v1 --steps 10000000 --out run{number} --quiet --checkpoint-every 1".split())
    while not os.path.exists(f"run{number}/metrics.csv"):
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def hang_ups() -> None:
    """Receive SIGHUP, also where the tests run under `nohup`, which makes every child ignore it."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextlib.contextmanager
def started(cwd: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run `gio train` in a process of its own, which does not outlive the block."""
    command = [sys.executable, "-m", "gio_pyro.cli.main", "train", *map(str, arguments), "--quiet"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=cwd, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True, preexec_fn=hang_ups
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], path: Path, size: int = 1) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size >= size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestSignals:
    @pytest.mark.slow
    def test_an_interrupt_saves_says_where_and_can_be_resumed(self, tmp_path: Path):
        with started(tmp_path, "FrozenLake-v1", "--steps", 10_000_000, "--out", "run") as process:
            wait_for(process, tmp_path / "run" / "metrics.csv")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "gio train --resume run" in said
        assert "Traceback" not in said
        done = gio_library.GIO.load(tmp_path / "run").steps
        assert f"{done} steps" in said
        assert steps_of(tmp_path / "run")[-1] == done
        config = json.loads((tmp_path / "run" / "config.json").read_text())
        assert config["steps"] == 10_000_000
        (tmp_path / "run" / "config.json").write_text(json.dumps(config | {"steps": done + 100}))
        assert gio("train", "--resume", tmp_path / "run", "--quiet") == 0  # what was left to do
        assert steps_of(tmp_path / "run")[-1] == done + 100

    @pytest.mark.slow
    @pytest.mark.parametrize("seconds", [0.5, 1.5])
    def test_an_interrupt_while_starting_gives_no_traceback(self, tmp_path: Path, seconds: float):
        with started(tmp_path, "FrozenLake-v1", "--steps", 10_000_000, "--out", "run") as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=15)
        assert "Traceback" not in said
        assert process.returncode == 130

    @pytest.mark.slow
    def test_a_kill_leaves_a_whole_checkpoint(self, tmp_path: Path):
        """Training that saves after every round is killed at several moments after its first row."""
        subprocess.run([sys.executable, "-c", KILLER], cwd=tmp_path, env=ENVIRONMENT, check=True, timeout=120)
        runs = sorted(tmp_path.iterdir())
        assert len(runs) == 3
        done = [gio_library.GIO.load(run).steps for run in runs]
        assert max(done) > 0
        assert train("--resume", runs[-1], steps=100) == 0
        assert steps_of(runs[-1])[-1] == done[-1] + 100
        assert not list(runs[-1].glob("*.part"))

    @pytest.mark.slow
    def test_a_reader_that_leaves_gives_no_traceback(self, tmp_path: Path):
        command = [sys.executable, "-m", "gio_pyro.cli.main", "empowerment", "FrozenLake-v1", "-n", "1"]
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writing)
        assert not re.search("Traceback|Exception ignored", done.stderr)
        assert done.returncode == 141


SLOWLY = """
import os, signal, sys, time
from gio_pyro.cli import main, training
where, ready = sys.argv[1], sys.argv[2]
own = getattr(training, where)

def slowly(*given, **more):
    found = own(*given, **more) if where == "_learn" else None
    open(ready, "w").close()
    time.sleep(60)
    return found

setattr(training, where, slowly)
sys.exit(main.entry_point(sys.argv[3:]))
"""


class TestStopped:
    """SIGTERM and SIGHUP are Ctrl-C, whenever they come."""

    @pytest.mark.slow
    @pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
    def test_while_learning_the_round_is_finished_and_saved(self, tmp_path: Path, name: str, status: int):
        with started(tmp_path, "Pendulum-v1", "--hidden", 8, "--steps", 10**6, "--out", "run") as process:
            wait_for(process, tmp_path / "run" / "metrics.csv")
            process.send_signal(getattr(signal, name))
            _, said = process.communicate(timeout=60)
        assert process.returncode == status
        done = gio_library.GIO.load(tmp_path / "run").steps
        assert f"Interrupted after {done} steps, which are saved in run; go on with: gio train --resume run" in said
        assert done >= steps_of(tmp_path / "run")[-1]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("where", "name", "status"),
        [("_before", "SIGTERM", 143), ("_finish", "SIGHUP", 129), ("_finish", "SIGINT", 130)],
    )
    def test_before_and_after_learning_it_says_where_the_run_is_and_resume_finishes_it(
        self, tmp_path: Path, where: str, name: str, status: int
    ):
        words = ("train", "CartPole-v1", "--hidden", "8", "--steps", "20", "--out", "run", "--checkpoint-every", "7")
        command = [sys.executable, "-c", SLOWLY, where, str(tmp_path / "ready"), *words, "--quiet"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, preexec_fn=hang_ups
        ) as process:
            while not (tmp_path / "ready").exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(getattr(signal, name))
            _, said = process.communicate(timeout=30)
        assert process.returncode == status
        assert said.strip().endswith("go on with: gio train --resume run")
        run = tmp_path / "run"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "AFTER", 1)
            patch.setattr(training, "can_film", lambda agent: False)
            assert gio("train", "--resume", run, "--quiet") == 0
        assert (run / "posterior.nc").exists()
        assert gio_library.GIO.load(run).steps == 20
        config = json.loads((run / "config.json").read_text())
        assert (config["steps"], config["checkpoint_every"], config["reported"]) == (20, 7, True)
        assert gio("train", "--resume", run, "--quiet") == 2  # now it is done

    def test_a_run_of_nohup_does_not_hear_that_the_terminal_is_gone(self, tmp_path: Path):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with stopping.stoppable():
                assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
                assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        finally:
            signal.signal(signal.SIGHUP, before)

    @pytest.mark.usefixtures("unjudged")
    def test_what_is_played_before_learning_leaves_no_trace(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Killed after these episodes were kept, a run does not play them again: it must end the same."""
        env = register(monkeypatch)
        for name in ("whole", "killed"):
            assert train(env, "--out", tmp_path / name, steps=0) == 0
        (tmp_path / "whole" / "summary.json").unlink()
        for name in ("whole", "killed"):
            assert train("--resume", tmp_path / name, steps=20) == 0
        assert differences(*(file_format.read(tmp_path / name) for name in ("whole", "killed"))) == []


class TestDamagedMetrics:
    @pytest.mark.parametrize(
        "content",
        [
            b"\x00\xff\xfe" * 40,
            None,
            *(
                pytest.param(content, marks=pytest.mark.slow)
                for content in (b"a,b\n1,2\n", b"time/total_timesteps\nnan", b"time/total_timesteps\n10\n\x00,1\n")
            ),
        ],
    )
    def test_they_never_block_a_resume(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brief: None, content: bytes | None
    ):
        run, env = tmp_path / "run", register(monkeypatch)
        with monkeypatch.context() as patch:
            patch.setattr(training, "_finish", lambda *_: None)
            assert train(env, "--out", run, steps=20) == 0
        (run / "metrics.csv").unlink()
        if content is not None:
            (run / "metrics.csv").write_bytes(content)
        assert train("--resume", run, steps=0) == 0
        assert train("--resume", run, steps=20) == 0
        assert steps_of(run)[-1] == 40.0
        assert json.loads((run / "summary.json").read_text())["intrinsic_nats"] is not None


class TestFullDiskAtTheEnd:
    """Whichever file of the report does not fit: one sentence, status 2, and a checkpoint that is whole."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "name", ["summary.json", "posterior.nc", "learning_curve.png", "policy.png", "episode.gif"]
    )
    def test_it_is_one_sentence_and_the_report_is_written_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str
    ):
        run, own = tmp_path / "run", os.fsync

        def full(handle: int) -> None:
            if f"/{name}." in os.readlink(f"/proc/self/fd/{handle}"):
                raise OSError(errno.ENOSPC, "No space left on device")
            own(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            assert train("FrozenLake-v1", "--out", run, steps=500) == 2
        assert capsys.readouterr().err.startswith(f"gio: Expected to write {run / name}, but: [Errno 28] No space")
        assert not list(run.glob("*.part"))
        assert gio_library.GIO.load(run).steps == 500
        with monkeypatch.context() as patch:
            patch.setattr(training, "_finish", lambda *_: None)
            assert gio("train", "--resume", run, "--quiet") == 0
