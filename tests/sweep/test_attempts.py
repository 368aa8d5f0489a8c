"""A run is brought to its end whatever happens to its process. Cost: a second; no run takes place."""

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from gio_pyro.cli.swept_flags import resumed_with
from gio_pyro.errors import InputError
from gio_pyro.sweep import attempts
from gio_pyro.sweep.attempts import Outcome, complete_run, outcome_on_disk
from gio_pyro.sweep.carry_out import carry_out
from gio_pyro.sweep.folder import SweepFolder
from gio_pyro.sweep.pools import LocalPool, outcome_of
from gio_pyro.sweep.processes import Processes
from gio_pyro.sweep.progress import Progress
from gio_pyro.sweep.runs import Run, extend, is_complete, share_done
from gio_pyro.utils import files
from gio_pyro.utils.files import read_json


def run_in(folder: Path, name: str = "one", seed: int = 0) -> Run:
    own = ("FrozenLake-v1", "--model=mine.py:M")
    return Run(str(folder / name), "FrozenLake-v1", "", seed, own, own)


class Machine:
    """Carries out commands as a list of exit statuses says; a run that is killed has written a checkpoint."""

    def __init__(self, *statuses: int, checkpoint: bool = True) -> None:
        self.statuses, self.checkpoint = list(statuses), checkpoint
        self.commands: list[list[str]] = []

    def start(self, arguments: list[str], log: str) -> int:
        self.commands.append(arguments)
        (place,) = (Path(a.partition("=")[2]) for a in arguments if a.startswith(("--out=", "--resume=")))
        assert place.exists() == arguments[-1].startswith("--resume=")
        place.mkdir(parents=True, exist_ok=True)
        if self.checkpoint:
            (place / "checkpoint.pt").touch()
        status = self.statuses.pop(0)
        if status == 0:
            (place / "config.json").write_text(json.dumps({"steps": 5, "reported": True}))
            (place / "summary.json").write_text(json.dumps({"return_after": 7.0}))
        if status > 0:
            Path(log).parent.mkdir(exist_ok=True)
            Path(log).write_text("step 1\n\ngio: Expected luck, but got none.\n\n")
        return status


def write_config(run: Run, **values: object) -> None:
    (run.path / "config.json").write_text(json.dumps(values))


def test_a_run_that_is_killed_is_resumed_with_parts_of_the_users_own(tmp_path: Path):
    machine = Machine(-9, 0)
    assert complete_run(run_in(tmp_path), machine.start).status == "complete"
    begun, resumed = machine.commands
    assert begun == ["train", "FrozenLake-v1", "--model=mine.py:M", f"--out={tmp_path / 'one'}"]
    assert resumed == ["train", "FrozenLake-v1", "--model=mine.py:M", f"--resume={tmp_path / 'one'}"]
    assert complete_run(run_in(tmp_path), machine.start).status == "complete"
    assert len(machine.commands) == 2, "a complete run is left alone"


def test_a_run_that_is_killed_before_its_first_checkpoint_is_begun_again(tmp_path: Path):
    machine = Machine(-9, -9, 0, checkpoint=False)
    assert complete_run(run_in(tmp_path), machine.start).status == "complete"
    assert all(command[-1].startswith("--out=") for command in machine.commands)


def test_a_run_that_is_killed_again_and_again_fails(tmp_path: Path):
    outcome = complete_run(run_in(tmp_path), Machine(-9, -9, -11).start)
    assert (outcome.status, outcome.error) == ("failed", "killed by signal 11 in each of 3 attempts")


def test_an_error_is_the_last_line_that_the_run_printed_and_is_not_tried_again(tmp_path: Path):
    machine = Machine(2)
    outcome = complete_run(run_in(tmp_path), machine.start)
    assert (outcome.status, outcome.error) == ("failed", "Expected luck, but got none.")
    assert len(machine.commands) == 1


@pytest.mark.parametrize("status", [129, 130, 143])
def test_a_run_that_a_signal_stopped_has_not_failed(tmp_path: Path, status: int):
    assert complete_run(run_in(tmp_path), Machine(status).start).status == "stopped"


def test_nothing_begins_while_a_sweep_stops(tmp_path: Path):
    machine = Machine()
    assert complete_run(run_in(tmp_path), machine.start, lambda: True).status == "stopped"
    assert machine.commands == []


@pytest.mark.skipif(files.fcntl is None, reason="needs locks")
def test_a_run_waits_for_another_process_in_its_folder_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempts, "PATIENCE", 0.2)
    run = run_in(tmp_path)
    Path(run.folder).mkdir()
    (Path(run.folder) / "checkpoint.pt").touch()
    claim = files.claim(Path(run.folder))
    outcome = complete_run(run, Machine().start)
    assert (outcome.status, outcome.error) == ("failed", f"another process is at work in {run.folder}")
    files.release(claim)
    assert complete_run(run, Machine(0).start).status == "complete"


def test_only_what_is_not_part_of_the_library_is_named_again():
    flags = ["--steps=5", "--model=mine.py:M", "--guide=FlowGuide", "--wrapper=a:B", "--signal=Empowerment(2)"]
    assert resumed_with("FrozenLake-v1", flags) == ("--model=mine.py:M", "--wrapper=a:B")
    assert resumed_with("mine:World-v0", []) == ("mine:World-v0",)


class Pool:
    """Carries out each run at once."""

    def __init__(self, act: Callable[[Run], Outcome]) -> None:
        self.act, self.stopped = act, False

    def submit(self, run: Run) -> "Future[Outcome]":
        future: Future[Outcome] = Future()
        try:
            future.set_result(Outcome("stopped") if self.stopped else self.act(run))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None: ...


class TestFolder:
    def test_every_run_is_a_row_whatever_became_of_it(self, tmp_path: Path):
        folder = SweepFolder(tmp_path / "sweep")
        runs = folder.add([run_in(folder.path, name, seed) for seed, name in enumerate("abcd")])
        machine = Machine(0, 2)
        assert complete_run(runs[0], machine.start).status == "complete"  # by an earlier sweep

        def act(run: Run) -> Outcome:
            if run.name == "d":
                raise MemoryError("no room")
            return complete_run(run, machine.start)

        outcomes = carry_out(runs[:2] + runs[3:], folder, Pool(act), Progress(3, quiet=True), lambda: False)
        assert {name: outcome.status for name, outcome in outcomes.items()} == {
            "a": "complete", "b": "failed", "d": "failed",
        }  # fmt: skip
        rows = (folder.path / "runs.csv").read_text().splitlines()
        assert rows[0] == "run,environment,settings,seed,status,steps,return,error"
        assert rows[1:3] == [
            "a,FrozenLake-v1,,0,complete,0,7.0,",
            'b,FrozenLake-v1,,1,failed,0,nan,"Expected luck, but got none."',
        ]
        assert rows[3].startswith("c,FrozenLake-v1,,2,waiting,0,nan")
        assert "no room" in rows[4]
        folder.close()

    def test_a_run_can_grow_but_not_shrink(self, tmp_path: Path):
        folder = SweepFolder(tmp_path / "sweep")
        one = run_in(folder.path, "a")
        five, nine = (replace(one, arguments=(*one.arguments, f"--steps={steps}")) for steps in (5, 9))
        folder.add([five])
        assert complete_run(five, Machine(0).start).status == "complete"
        assert folder.add([nine]) == [nine] == folder.runs()
        assert (is_complete(five), is_complete(nine)) == (True, False)
        write_config(nine, steps=9, reported=False)
        for fewer, got in ((five, "5"), (one, "none")):
            with pytest.raises(InputError, match=rf"^Expected at least the 9 steps that a has in .*, but got {got};"):
                folder.add([fewer])
        folder.close()

    def test_a_plan_can_grow_but_no_run_can_change(self, tmp_path: Path):
        folder = SweepFolder(tmp_path / "sweep")
        one, other = run_in(folder.path, "a"), run_in(folder.path, "b")
        folder.add([one])
        assert folder.add([one, other]) == [one, other] == folder.runs()
        with pytest.raises(
            InputError, match=r"^Expected a with the arguments .* that it has in .*; name another --out"
        ):
            folder.add([replace(one, arguments=("CartPole-v1",))])
        folder.close()

    def test_it_belongs_to_one_sweep_at_a_time(self, tmp_path: Path):
        folder = SweepFolder(tmp_path / "sweep")
        folder.add([])
        if files.fcntl is not None:
            with pytest.raises(InputError, match=r"^Expected one sweep in .*, but another is at work there"):
                SweepFolder(tmp_path / "sweep")
        folder.close()
        SweepFolder(tmp_path / "sweep").close()

    def test_another_folder_is_refused_and_left_as_it_is(self, tmp_path: Path):
        (tmp_path / "file").write_text("mine")
        for place in (tmp_path, tmp_path / "file"):
            with pytest.raises(InputError, match=r"^Expected a new folder or that of a sweep, but .* is another"):
                SweepFolder(place)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    @pytest.mark.parametrize("content", ["", "{", '{"runs": {"a": {}}}', '{"runs": []}', "[]"])
    def test_a_damaged_plan_is_said_to_be_one(self, tmp_path: Path, content: str):
        folder = SweepFolder(tmp_path / "sweep")
        (folder.path / "sweep.json").write_text(content)
        with pytest.raises(InputError, match=r"^Expected the plan of a sweep in .*sweep.json, but it is damaged"):
            folder.runs()
        folder.close()


def test_how_far_a_run_is_can_be_read_while_it_writes(tmp_path: Path):
    assert share_done(tmp_path) == 0
    assert not is_complete(run_in(tmp_path.parent, tmp_path.name))
    (tmp_path / "config.json").write_text('{"steps": 1000, "reported": false}')
    assert share_done(tmp_path) == 0
    rows = "\n".join(f"1.5,{step}.0,2" for step in range(0, 500, 1))
    (tmp_path / "metrics.csv").write_text(f"a,time/total_timesteps,b\n{rows}\n1.5,90")
    assert share_done(tmp_path) == 0.499
    assert share_done(tmp_path, 4990) == 0.1
    (tmp_path / "metrics.csv").write_text("a,time/total_timesteps,b\n")
    assert share_done(tmp_path) == 0


def test_one_that_is_to_take_more_steps_than_it_has_taken_goes_on(tmp_path: Path):
    run = replace(run_in(tmp_path), arguments=("FrozenLake-v1", "--steps=9"))
    extend(run)
    assert not run.path.exists()
    complete_run(run_in(tmp_path), Machine(0).start)
    killed = Machine(-9, 2)
    assert complete_run(run, killed.start).status == "failed"
    assert [command[-1] for command in killed.commands] == [f"--resume={run.folder}"] * 2
    assert read_json(run.path / "config.json") == {"steps": 9, "reported": False}
    write_config(run, steps=9, reported=True)
    assert complete_run(run, Machine().start).status == "complete"
    (run.path / "config.json").write_text('{"steps": 9, "rep')
    complete_run(run, Machine(2).start)
    assert read_json(run.path / "config.json")["steps"] == 9


def test_a_run_that_another_process_completed_meanwhile_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def finished(folder: Path, stopped: Callable[[], bool]) -> bool:
        Machine(0).start(run_in(tmp_path).command(), run_in(tmp_path).log)
        return True

    monkeypatch.setattr(attempts, "_wait_until_free", finished)
    machine = Machine()
    assert complete_run(run_in(tmp_path), machine.start).status == "complete"
    assert machine.commands == []


def test_how_a_run_ended_can_be_read_later(tmp_path: Path):
    run = run_in(tmp_path)
    assert outcome_on_disk(run).status == "waiting"
    complete_run(run, Machine(2).start)
    assert outcome_on_disk(run).status == "stopped"
    shutil.rmtree(run.folder)
    assert outcome_on_disk(run) == Outcome("failed", "Expected luck, but got none.")
    complete_run(run, Machine(0).start)
    assert outcome_on_disk(run).status == "complete"


def test_a_sweep_that_fails_itself_lets_no_further_run_begin(tmp_path: Path):
    began = []
    pool = LocalPool(Processes("no:where", ()), 1)
    pool.processes.start = lambda arguments, log: began.append(log) or time.sleep(0.2) or 143  # type: ignore[method-assign]
    futures = [pool.submit(run_in(tmp_path, str(number))) for number in range(5)]
    pool.close()
    assert len(began) <= 1
    assert all(outcome_of(future).status == "stopped" for future in futures)


def test_a_cancelled_run_is_stopped_and_a_lost_one_failed():
    cancelled: Future[Outcome] = Future()
    cancelled.cancel()
    assert outcome_of(cancelled).status == "stopped"
    lost: Future[Outcome] = Future()
    lost.set_exception(ConnectionError("node died"))
    assert outcome_of(lost).status == "failed"
    assert "node died" in outcome_of(lost).error
