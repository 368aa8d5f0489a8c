"""Runs of `gio sweep`, for scripts that keep more of an agent than its return, or other rows."""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gio_pyro as gio
from gio_pyro.sweep.results import Result, read_results
from gio_pyro.sweep.runs import end_of

HERE = Path(__file__).parent


def sweep_options(parser: argparse.ArgumentParser, folder: str) -> None:
    """Add --folder, with its default, and --jobs."""
    parser.add_argument("--folder", type=Path, default=Path(folder), help="where the sweeps are")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at once")


def swept(words: Sequence[str], folder: Path, jobs: int) -> list[Result]:
    """Carry out a sweep, printed before it begins, and return its complete runs; one that was cut short goes on.

    Args:
        words: arguments of `gio sweep` but for its folder and its jobs; wrappers may be in this directory.
        folder: where the runs are.
        jobs: how many run at once.
    """
    words = ["sweep", *words, "--jobs", str(jobs), "--out", str(folder)]
    print(f"PYTHONPATH=examples/benchmarks gio {shlex.join(words)}", flush=True)
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run([sys.executable, "-m", "gio_pyro", *words], env=os.environ | {"PYTHONPATH": path}, check=False)
    return [result for result in read_results([folder]) if result.score == result.score]


def agents(
    environment: str, steps: int, seeds: Sequence[int], flags: Sequence[str], folder: Path, jobs: int, **own: Any
) -> Iterator[tuple[Result, gio.GIO, str]]:
    """Yield result, agent and seconds of each complete run of a sweep; a run of a few steps has no time.

    Runs that are in the folder with fewer steps go on, and those with more are left out. `own` has parts of agents that
    are not of the library, as `GIO.load` takes them.
    """
    if not seeds:
        return
    listed = ",".join(map(str, seeds))
    found = swept([environment, "--steps", str(steps), "--seeds", listed, *flags], folder, jobs)
    for result in found:
        place = Path(result.source)
        if result.seed in seeds and end_of(place) == steps:
            summary = json.loads((place / "summary.json").read_text())
            speed = summary.get("steps_per_second")
            seconds = f"{summary['steps'] / speed:.0f}" if speed else ""
            yield result, gio.GIO.load(place, environment=environment, **own), seconds
