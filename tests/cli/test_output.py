"""The lines and tables that commands print.

Cost: a second.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from gio_pyro.cli import output, training
from tests.cli.shell import gio
from tests.environments import register

FIGURES = {"rollout/ep_rew_mean": -1234.5678, "intrinsic/nats": 0.12345, "time/fps": 1234.4}


@pytest.mark.parametrize(
    ("mean", "shown"), [(-1234.5678, "return -1235"), (0.25, "return 0.25"), (float("nan"), "return not known yet")]
)
def test_a_line_of_progress_has_step_return_nats_and_speed(mean: float, shown: str):
    line = output.progress_line({**FIGURES, "rollout/ep_rew_mean": mean, "time/total_timesteps": 1500.0}, 40_000)
    assert line == f"step 1,500 of 40,000: {shown}, 0.1235 nats, 1,234 steps per second"


@pytest.mark.parametrize(
    ("flags", "terminal", "steps", "bar"),
    [((), False, ["500", "700"], False), (("--quiet",), False, [], False), ((), True, [], True)],
)
def test_progress_is_a_line_for_each_report_or_a_bar_on_a_terminal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    flags: tuple[str, ...],
    terminal: bool,
    steps: list[str],
    bar: bool,
):
    monkeypatch.setattr(training, "_finish", lambda *_: None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert gio("train", register(monkeypatch), "--out", tmp_path / "run", "--steps", 700, *flags) == 0
    printed = capsys.readouterr().err
    assert re.findall(r"^step (\d+) of 700: return \S+, \S+ nats, \S+ steps per second$", printed, re.M) == steps
    assert ("700/700" in printed) == bar
    assert bool(printed) == (bar or bool(steps))
