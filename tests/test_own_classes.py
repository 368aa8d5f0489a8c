"""Signals and explorers of one's own that raise: which class, and which of its methods, is to be corrected.

Cost: 4 s.
"""

from pathlib import Path

import numpy as np
import pytest

from gio_pyro import GIO, IntrinsicReward
from gio_pyro.errors import InputError, ProgramError
from tests.cli.shell import train

QUICK = {"learning_starts": 10, "train_freq": 10, "seed": 0}
SIGNAL = """
from gio_pyro.errors import InputError
from gio_pyro.signals import Signal

class Mine(Signal):
    def __init__(self, fitted, fails="", how=KeyError):
        super().__init__(fitted)
        self.fails = fails
        self.fail("__init__")

    def fail(self, method):
        if self.fails == method:
            raise {"exit": SystemExit, "own": InputError}.get(method, KeyError)("shelf")

    def observe(self, rows):
        self.fail("observe")

    def update(self, rows):
        self.fail("update")

    def read(self, rows):
        self.fail("read"); self.fail("exit"); self.fail("own")
        return rows.reward
"""
EXPLORER = """
import torch
from gio_pyro.explorers import Explorer

class Mine(Explorer):
    def __init__(self, source, fails=""):
        super().__init__(source)
        self.fails = fails
        self.fail("__init__")

    def fail(self, method):
        if self.fails == method:
            raise KeyError("shelf")

    def behaviour(self, replay):
        self.fail("behaviour")
        def act(state, stream):
            self.fail("act")
            return torch.zeros(len(state), dtype=torch.long), torch.zeros(len(state))
        return act

    def begin(self, stream):
        self.fail("begin")

    def on_step(self, arrived, stream):
        self.fail("on_step")

    def observe(self, rows):
        self.fail("observe")

    def improve(self, replay, step):
        self.fail("improve")
        return {}

    def optimisers(self):
        self.fail("optimisers")
        return {}
"""


def file(tmp_path: Path, text: str) -> str:
    (tmp_path / "own.py").write_text(text)
    return f"{tmp_path}/own.py:Mine"


def updated(method: str) -> str:
    return f"^Expected {method} of Mine to run, but it raised KeyError: 'shelf'; correct its method {method}.$"


def samples() -> dict[str, np.ndarray]:
    whole = dict.fromkeys(("observations", "actions", "next_observations"), np.zeros((4, 1), int))
    return whole | {"rewards": np.zeros((4, 1))} | dict.fromkeys(("terminateds", "truncateds"), np.zeros((4, 1), bool))


def plug(signal: str):
    reward = IntrinsicReward("FrozenLake-v1", signal=signal)
    reward.update(samples())
    reward.compute(samples())


def explored(explorer: str, folder: Path):
    GIO("FrozenLake-v1", signal="PredictionError", explorer=explorer, **QUICK | {"train_freq": 50}).learn(150).save(
        folder
    )


@pytest.mark.parametrize("method", ["__init__", "observe", "update", "read"])
def test_a_signal_that_raises_is_named_by_an_agent(tmp_path: Path, method: str):
    with pytest.raises(ProgramError, match=updated(method)):
        GIO("FrozenLake-v1", signal=f"{file(tmp_path, SIGNAL)}({method!r})", **QUICK).learn(40)


@pytest.mark.parametrize("method", ["__init__", "observe", "update", "read"])
def test_a_signal_that_raises_is_named_by_the_plug(tmp_path: Path, method: str):
    with pytest.raises(ProgramError, match=updated(method)):
        plug(f"{file(tmp_path, SIGNAL)}({method!r})")


def test_a_signal_that_leaves_does_not_end_the_program_and_its_own_sentences_stay(tmp_path: Path):
    signal = file(tmp_path, SIGNAL)
    with pytest.raises(ProgramError, match=r"^Expected read of Mine to run, but it raised SystemExit: shelf; correct"):
        GIO("FrozenLake-v1", signal=f"{signal}('exit')", **QUICK).learn(40)
    with pytest.raises(InputError, match=r"^shelf$"):
        GIO("FrozenLake-v1", signal=f"{signal}('own')", **QUICK).learn(40)


@pytest.mark.parametrize(
    "method", ["__init__", "behaviour", "act", "begin", "on_step", "observe", "improve", "optimisers"]
)
def test_an_explorer_that_raises_is_named(tmp_path: Path, method: str):
    explorer = f"{file(tmp_path, EXPLORER)}({method!r})"
    with pytest.raises(ProgramError, match=updated("behaviour" if method == "act" else method)):
        explored(explorer, tmp_path)


def test_the_command_line_tells_it_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    status = train("FrozenLake-v1", f"--signal={file(tmp_path, SIGNAL)}('read')", steps=600)
    told = capsys.readouterr().err
    assert status == 2
    assert "Expected read of Mine to run, but it raised KeyError" in told
    assert "Traceback" not in told


def test_settings_that_a_class_does_not_take_are_told_with_those_that_it_takes(tmp_path: Path):
    signal = file(tmp_path, SIGNAL)
    with pytest.raises(
        InputError, match=r"^Expected Mine with its own settings \(fails, how\), but got {'depth': 3}: "
    ):
        GIO("FrozenLake-v1", signal=f"{signal}(depth=3)")
    with pytest.raises(InputError, match=r"^Expected Mine with its own settings \(fails, how\), but got \[1, 2, 3\]"):
        GIO("FrozenLake-v1", signal=f"{signal}(1, 2, 3)")
    with pytest.raises(InputError, match=r"^Expected Control with its own settings \(none\), but got {'depth': 3}"):
        GIO("FrozenLake-v1", signal="Control(depth=3)")
