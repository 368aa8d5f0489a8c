"""`gio sweep` and `gio report` as a user runs them.

Cost: seconds for mistakes and reports; a minute for the slow ones, in which runs take place.
"""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gio_pyro.checkpointing import file_format
from gio_pyro.cli import sweeping
from gio_pyro.sweep.runs import share_done
from tests.agents import differences
from tests.cli.shell import gio, train
from tests.sweep.test_results import write_run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TIMES = ("time/fps", "steps_per_second")


def rows(folder: Path) -> dict[str, dict[str, str]]:
    return {row["run"]: row for row in table(folder / "runs.csv")}


def table(path: Path) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(path.read_text()))]


def same_runs(first: Path, other: Path) -> None:
    """Assert that two run folders hold the same, but for what was measured by the clock."""
    assert not differences(file_format.read(first), file_format.read(other))
    for name in ("config.json", "summary.json"):
        texts = [json.loads((folder / name).read_text()) for folder in (first, other)]
        assert len({json.dumps({k: v for k, v in text.items() if k not in TIMES}) for text in texts}) == 1
    reports = [table(folder / "metrics.csv") for folder in (first, other)]
    first_rows, other_rows = ([{k: v for k, v in row.items() if k not in TIMES} for row in rows] for rows in reports)
    assert first_rows == other_rows


class TestRuns:
    @pytest.mark.slow
    def test_they_are_those_of_gio_train_bit_for_bit(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        sweep, flags = tmp_path / "sweep", ("--initial-value", "neutral", "--hidden", "8", "4")
        words = ("FrozenLake-v1", "--set", "temperature=0.1,0.3", "--set", "env.is_slippery=false", "--out", sweep)
        assert gio("sweep", *words, "--seeds", "0,7", "--steps", 500, "--jobs", 2, "--quiet", *flags) == 0
        assert "4 of 4 runs are complete" in capsys.readouterr().out
        assert {(row["settings"], row["seed"], row["status"]) for row in rows(sweep).values()} == {
            (f"temperature={temperature} env.is_slippery=false", seed, "complete")
            for temperature in ("0.1", "0.3")
            for seed in "07"
        }
        assert gio("sweep", *words, "--seeds", 7, "--steps", 1000, "--quiet", *flags) == 0
        assert {row["seed"]: row["steps"] for row in rows(sweep).values()} == {"0": "500", "7": "1000"}
        own = ("--temperature", 0.3, "--seed", 7, "--env.is_slippery=false", *flags)
        assert train("FrozenLake-v1", *own, "--out", tmp_path / "own", steps=1000) == 0
        (same,) = (name for name, row in rows(sweep).items() if (row["settings"][12:15], row["seed"]) == ("0.3", "7"))
        same_runs(sweep / same, tmp_path / "own")
        capsys.readouterr()
        assert gio("report", sweep) == 0
        printed = capsys.readouterr().out
        assert re.search(r"FrozenLake-v1 .*is_slippery=false", printed)
        assert "temperature=0.3" in printed

    @pytest.mark.slow
    def test_those_of_a_killed_sweep_save_and_end_and_resume_finishes_them(self, tmp_path: Path):
        """A run is killed, the server that runs are forked from, then the sweep; the folders end as if nothing had."""
        words = ["sweep", "FrozenLake-v1", "--seeds", "0-1", "--steps", "20000", "--jobs", "2", "--out", "sweep"]
        command = [sys.executable, "-m", "gio_pyro", *words, "--checkpoint-every", "2000", "--quiet"]
        with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT) as process:
            folders = [tmp_path / "sweep" / f"FrozenLake-v1-seed-{seed}" for seed in (0, 1)]
            wait_until(lambda: all(0 < share_done(folder) < 0.8 for folder in folders))
            first, *others = workers(process.pid)
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: {*workers(process.pid)} - {first, *others})  # the other run may have ended meanwhile
            (server,) = servers(process.pid)
            os.kill(server, signal.SIGKILL)
            wait_until(lambda: server not in servers(process.pid) and workers(process.pid))
            left = workers(process.pid)
            process.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
        assert any(share_done(folder) < 1 for folder in folders)
        assert len(others) == 1
        assert gio("sweep", "--resume", tmp_path / "sweep", "--jobs", 2, "--quiet") == 0
        for seed, folder in enumerate(folders):
            own = tmp_path / f"own{seed}"
            assert train("FrozenLake-v1", "--seed", seed, "--checkpoint-every", 2000, "--out", own, steps=20_000) == 0
            same_runs(folder, own)

    @pytest.mark.slow
    def test_one_that_fails_is_a_row_and_the_others_go_on(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        words = ("FrozenLake-v1", "--seeds", "3", "--set", "model=CategoricalModel,GaussianModel", "--steps", 500)
        assert gio("sweep", *words, "--out", tmp_path / "sweep", "--quiet") == 1
        said = capsys.readouterr()
        assert "1 of 2 runs are complete" in said.out
        assert re.search(r"^1 failed: Expected .*Gaussian", said.err, re.MULTILINE)
        good, bad = rows(tmp_path / "sweep").values()
        assert (good["status"], bad["status"]) == ("complete", "failed")
        assert bad["error"].startswith("Expected ")
        assert not (tmp_path / "sweep" / bad["run"]).exists(), "a mistake leaves no run folder behind"

    @pytest.mark.slow
    def test_a_stop_signal_lets_them_save_and_says_how_to_go_on(self, tmp_path: Path):
        words = ["sweep", "FrozenLake-v1", "--seeds", "0-2", "--steps", "10000000", "--jobs", "2", "--out", "sweep"]
        command = [sys.executable, "-m", "gio_pyro", *words]
        with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
            folders = [tmp_path / "sweep" / f"FrozenLake-v1-seed-{seed}" for seed in (0, 1)]
            wait_until(lambda: all(share_done(folder) > 0 for folder in folders))
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 143
        assert "go on with: gio sweep --resume" in said
        assert "Traceback" not in said
        assert [row["status"] for row in rows(tmp_path / "sweep").values()] == ["stopped"] * 3
        assert all(file_format.read(folder)["steps"] > 0 for folder in folders)

    @pytest.mark.slow
    def test_a_search_goes_on_where_it_was(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        pytest.importorskip("optuna")
        sweep = tmp_path / "sweep"
        words = ("--set", "temperature=0.01..1:log", "--set", "discount=0.9,0.99", "--seeds", "0-1", "--steps", 100)
        assert gio("sweep", "FrozenLake-v1", *words, "--search", 2, "--jobs", 4, "--out", sweep, "--quiet") == 0
        assert re.search(r"best of 2: temperature=0\.\d+ discount=0\.9\d?, mean return", capsys.readouterr().out)
        plan = json.loads((sweep / "sweep.json").read_text())
        assert len(plan["runs"]) == len(rows(sweep)) == 4
        plan["search"]["trials"] = 4
        (sweep / "sweep.json").write_text(json.dumps(plan))
        assert gio("sweep", "--resume", sweep, "--quiet") == 0
        assert "best of 4" in capsys.readouterr().out
        assert {row["status"] for row in rows(sweep).values()} == {"complete"}
        assert len(rows(sweep)) == 8, "further values, not the same again"
        assert gio("sweep", "FrozenLake-v1", "--out", sweep, "--seeds", 9) == 2
        assert "is that of a search" in capsys.readouterr().err

    @pytest.mark.slow
    def test_ray_carries_them_out(self, tmp_path: Path):
        pytest.importorskip("ray")
        words = ("FrozenLake-v1", "--seeds", "5", "--steps", "500", "--on", "ray", "--jobs", "1", "--quiet")
        command = [sys.executable, "-m", "gio_pyro", "sweep", *words, "--out", "sweep"]
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert train("FrozenLake-v1", "--seed", 5, "--out", tmp_path / "own") == 0
        same_runs(tmp_path / "sweep" / "FrozenLake-v1-seed-5", tmp_path / "own")

    @pytest.mark.slow
    def test_slurm_carries_them_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Jobs of submitit on this machine, which take the place of those of Slurm."""
        submitit = pytest.importorskip("submitit")
        given = {}

        class Executor(submitit.LocalExecutor):  # type: ignore[misc]
            def update_parameters(self, **parameters: object) -> None:
                given.update(parameters)
                super().update_parameters(timeout_min=5)

        monkeypatch.setattr(submitit, "SlurmExecutor", Executor)
        words = ("FrozenLake-v1", "--seeds", "5", "--steps", 100, "--on", "slurm:partition=cpu", "--quiet")
        assert gio("sweep", *words, "--out", tmp_path / "sweep") == 0
        assert given == {"cpus_per_task": 1, "time": 1440, "partition": "cpu"}
        assert [row["status"] for row in rows(tmp_path / "sweep").values()] == ["complete"]


def workers(sweep: int) -> list[int]:
    """Return the processes that carry out runs: children of the server that the sweep forks them from."""
    return [pid for pid, parent, _ in processes() if parent in servers(sweep)]


def servers(sweep: int) -> list[int]:
    return [pid for pid, parent, command in processes() if parent == sweep and "forkserver" in command]


def processes() -> Iterator[tuple[int, int, str]]:
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            status = (place / "stat").read_text().rpartition(")")[2].split()
            if status[0] != "Z":
                yield int(place.name), int(status[1]), (place / "cmdline").read_text()


def wait_until(done, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class TestMistakes:
    """Found before anything begins."""

    @pytest.fixture(autouse=True)
    def _nothing_begins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)

        def begins(*given: object) -> None:
            raise AssertionError("a run began")

        monkeypatch.setattr(sweeping, "pool_named", begins)
        yield
        assert not [path for path in tmp_path.iterdir() if path.name != "given"]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "Expected ENV after gio sweep, but got none"),
            (["A-v0", "--seeds", "3-1"], "Expected seeds such as 0-9"),
            (["A-v0", "--jobs", "0"], "Expected --jobs to be at least 1"),
            (["A-v0", "--set", "temperatur=1"], "Expected flags of gio train after --set among recipe, model"),
            (["A-v0", "--set", "seed=1,2"], "Expected flags of gio train after --set among"),
            (["A-v0", "--set", "out=1,2"], "Expected flags of gio train after --set among"),
            (["A-v0", "--set", "discount=1,x"], "Expected --gamma/--discount to be a number, but got 'x'"),
            (["A-v0", "--set", "hidden=8 8,8 x"], "Expected --hidden to be whole numbers"),
            (["A-v0", "--set", "gamma=1", "--discount", "0"], "Expected --gamma or --set gamma=..., but got both"),
            (
                ["A-v0", "--set", "recipe=vime", "--recipe", "rnd"],
                "Expected --recipe or --set recipe=..., but got both",
            ),
            (["A-v0", "--set", "env_arg=a=1"], "Expected flags of gio train after --set among"),
            (
                ["A-v0", "--set", "temperature=0.1..1,2", "--search", "3"],
                "Expected values of temperature between commas",
            ),
            (["A-v0", "--set", "temperature=0.1..1"], "Expected values of temperature between commas"),
            (["A-v0", "--search", "0", "--set", "steps=1,2"], "Expected --search to be at least 1"),
            (["A-v0", "B-v0", "--search", "2", "--set", "steps=1,2"], "Expected one ENV beside --search"),
            (["--resume", "nowhere"], "Expected the folder of a sweep, but got nowhere"),
            (["A-v0", "--resume", "nowhere"], "Expected --resume to keep the sweep's own settings, but got A-v0"),
            (["--resume", "x", "--seeds", "1"], "Expected --resume to keep the sweep's own settings, but got --seeds"),
            (["--resume", "x", "--greedy"], "Expected --resume to keep the sweep's own settings, but got --greedy"),
            (["A-v0", "--seed", "1"], "Expected arguments that gio sweep takes, but got --seed"),
        ],
    )
    def test_of_a_sweep(self, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        if "--search" in words and "B-v0" in words:
            words += ["--out", "given"]
        assert gio("sweep", *words) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"gio: {message}")
        assert said.count("\n") == 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "Expected FOLDER after gio report, but got none"),
            (["nowhere"], "Expected a folder at nowhere, but there is none"),
            (["given", "--scale", "A-v0=1"], "Expected --scale ENV=LOW:HIGH, but got 'A-v0=1'"),
            (["given", "--scale", "A-v0=1:1"], "Expected --scale ENV=LOW:HIGH, but got 'A-v0=1:1'"),
            (["given", "given/a"], "Expected --out beside several folders or tables, but got none"),
            (["given", "--out", "given/a/config.json"], "Expected a folder for the report, but given/a/config.json is"),
            (["given", "--against", "SAC"], "Expected a method after --against among FlowGuide, but got 'SAC'"),
        ],
    )
    def test_of_a_report(self, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        write_run(tmp_path / "given" / "a")
        assert gio("report", *words) == 2
        assert capsys.readouterr().err.startswith(f"gio: {message}")


def test_neither_a_sweep_nor_a_report_waits_for_torch():
    code = "import sys, gio_pyro.cli.report, gio_pyro.cli.sweeping; print({'torch', 'pyro'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


class TestReport:
    def test_it_prints_tables_and_writes_them_with_figures_and_a_page(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        for seed in range(4):
            for temperature in (0.1, 0.5):
                run = write_run(
                    tmp_path / f"{temperature}-{seed}", seed + temperature, seed=seed, temperature=temperature
                )
                curve = "\n".join(f"{step},{step * temperature}" for step in range(0, 100, 10))
                (run / "metrics.csv").write_text(f"time/total_timesteps,rollout/ep_rew_mean\n{curve}\n")
        for _ in range(2):  # the second time over the first
            assert gio("report", tmp_path, "--scale", "A-v0=0:10", "--against", "temperature=0.1") == 0
        printed = capsys.readouterr().out
        assert re.search(r"temperature=0\.5 +4 +2 +\[0\.75, 3\.25\]|temperature=0\.5 +4 +2 ", printed)
        assert "probability that a run has a higher return than one of temperature=0.1" in printed
        folder = tmp_path / "report"
        assert {path.name for path in folder.iterdir()} == {
            "runs.csv", "methods.csv", "pairs.csv", "report.html",
            "A-v0-means.png", "A-v0-curves.png", "A-v0-profiles.png",
            "all-environments-scaled-means.png", "all-environments-scaled-profiles.png",
        }  # fmt: skip
        page = (folder / "report.html").read_text()
        assert page.count("data:image/png;base64,") == 5
        assert not re.search(r"(src|href)=\"(?!data:)", page), "no external files"
        assert (folder / "runs.csv").read_text().count("\n") == 9
        pair = table(folder / "pairs.csv")[0]
        assert float(pair["probability_of_improvement"]) == pytest.approx(10 / 16)

    @pytest.mark.slow
    def test_a_thousand_runs_take_at_most_ten_seconds(self, tmp_path: Path):
        curve = "\n".join(f"{500 * step},{step % 7}{',0.123456' * 25}" for step in range(200))
        names = ",".join(f"m/{number}" for number in range(25))
        for environment in range(10):
            for method in range(10):
                for seed in range(10):
                    place = tmp_path / f"{environment}-{method}-{seed}"
                    given = {"environment": f"World{environment}-v0", "temperature": method / 10, "seed": seed}
                    run = write_run(place, float(method * seed % 11), **given)
                    (run / "metrics.csv").write_text(f"time/total_timesteps,rollout/ep_rew_mean,{names}\n{curve}\n")
        start = os.times()
        command = [sys.executable, "-m", "gio_pyro", "report", str(tmp_path)]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        used = os.times()
        assert done.stdout.count("World") == 10
        assert used.children_user + used.children_system - start.children_user - start.children_system <= 10
