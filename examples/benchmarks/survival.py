"""What is lost when a run is killed? SIGKILL, SIGTERM and SIGHUP at random moments, and a comparison bit for bit.

    python examples/benchmarks/survival.py                        # 40 kills and 10 SIGTERM or SIGHUP; about ten minutes
    python examples/benchmarks/survival.py --kills 3 --terms 1 --only finite

`gio train` runs in a process of its own, which is ended after a random time, while it starts, plays the untrained
policy, learns, saves or reports, and goes on with `gio train --resume`, until the wanted number of signals has been
sent. Three kinds of run: a finite world; networks of finitely many actions in four environments; continuous actions
with a signal. After every signal:

    lost    environment steps between the last row of metrics.csv and the checkpoint: at most a checkpoint interval
            after SIGKILL, none after SIGTERM or SIGHUP, which also answer with 143 and 129
    whole   whether the checkpoint loads

and when the run is done, whether its checkpoint, every tensor and every random stream, is that of a run that nobody
disturbed. Rows that are kept are not run again.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from kept import Kept

from gio_pyro.checkpointing import file_format
from gio_pyro.checkpointing.validation import state_leaves
from gio_pyro.cli.main import entry_point
from gio_pyro.cli.run_folder import STEPS, RunFolder

RESULTS = Path(__file__).parent / "results" / "survival.csv"
KEYS = ("kind", "number")
INTERVAL, ROUND = 500, 4
KINDS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "finite": ("FrozenLake-v1", "--steps", "4000"),
        "several": ("CartPole-v1", "--envs", "4", "--steps", "1600", "--hidden", "8"),
        "signal": (
            *("Pendulum-v1", "--steps", "1500", "--hidden", "8"),
            *("--signal", "RandomNetworkDistillation", "--reward-weight", "1"),
        ),
    }
)
"""Arguments of `gio train`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, print the table; the exit status is 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, help="SIGKILLs over all kinds")
    parser.add_argument("--terms", type=int, default=10, help="SIGTERMs and SIGHUPs over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=tuple(KINDS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kinds = [given.only] if given.only else list(KINDS)
    kept = Kept(given.results, KEYS)
    for place, kind in enumerate(kinds):
        share = [count // len(kinds) + (place < count % len(kinds)) for count in (given.kills, given.terms)]
        wanted = ["SIGKILL"] * share[0] + ["SIGTERM", "SIGHUP"] * (share[1] // 2) + ["SIGTERM"] * (share[1] % 2)
        if (kind, len(wanted) - 1) not in kept:
            with tempfile.TemporaryDirectory() as folder:
                kept.add(survived(kind, wanted, Path(folder), random.Random(f"{kind} {given.seed}")))
    return table(kept)


def survived(kind: str, signals: Sequence[str], folder: Path, moments: random.Random) -> list[dict[str, object]]:
    """Send all signals to runs of a kind, in random order; returns a row for each."""
    start = time.monotonic()
    ended(started(KINDS[kind], folder / "undisturbed"))
    lasts, whole = time.monotonic() - start, file_format.read(folder / "undisturbed")
    waiting, rows, run = moments.sample(list(signals), len(signals)), [], folder / "run"
    since: list[int] = []
    while waiting or run.exists():
        resume = (run / file_format.NAME).exists()
        if run.exists() and not resume:
            shutil.rmtree(run)
        child = started(("--resume", str(run)) if resume else KINDS[kind], None if resume else run)
        name = waiting[-1] if waiting else ""
        status = ended(child, name, moments.uniform(0.0, 0.7 * lasts) if name else None)
        if status == 0 or (resume and status == 2):  # it was done before the signal came
            same = differences(whole, file_format.read(run)) == []
            for number in since:
                rows[number]["bit for bit"] = same
            since.clear()
            shutil.rmtree(run)
            continue
        waiting.pop()
        rows.append(
            {"kind": kind, "number": len(rows), "signal": name, "status": status, **lost(run), "bit for bit": ""}
        )
        since.append(len(rows) - 1)
        print(*rows[-1].values(), flush=True)
    return rows


def started(words: Sequence[str], out: Path | None) -> int:
    """Run `gio train` in a child that has imported everything already; returns its number."""
    more = [] if out is None else ["--out", str(out), "--checkpoint-every", str(INTERVAL)]
    child = os.fork()
    if child:
        return child
    status = 70
    with contextlib.suppress(BaseException), contextlib.ExitStack() as stack:
        for said in (contextlib.redirect_stdout, contextlib.redirect_stderr):
            stack.enter_context(said(stack.enter_context(open(os.devnull, "w"))))
        status = entry_point(["train", *words, *more, "--quiet"])
    os._exit(status)


def ended(child: int, name: str = "", seconds: float | None = None) -> int:
    """Wait for a child, and send it a signal meanwhile; returns its exit status, negative for a signal's number."""
    end = time.monotonic() + (seconds or 0.0)
    while seconds is not None and time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    if seconds is not None:
        os.kill(child, getattr(signal, name))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def lost(run: Path) -> dict[str, object]:
    """Return where a run was stopped, the steps that its checkpoint is behind, and whether that one loads."""
    reported = int(max(RunFolder(run).metrics().get(STEPS, [0.0])))
    if not (run / file_format.NAME).exists():
        return {"reported": reported, "lost": reported, "whole": reported == 0}
    return {"reported": reported, "lost": max(reported - int(file_format.read(run)["steps"]), 0), "whole": True}


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the places where two checkpoints are not exactly the same."""
    one, other = dict(state_leaves(first)), dict(state_leaves(second))
    return [place for place in {**one, **other} if not same(one.get(place), other.get(place))]


def same(one: Any, other: Any) -> bool:
    """Whether two leaves are equal, and of one kind."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)


def table(kept: Kept) -> int:
    """Print what was lost, by kind and signal; returns the exit status."""
    rows = list(kept.rows.values())
    wrong = 0
    print(f"{'kind':10} {'signal':8} {'sent':>5} {'most steps lost':>16} {'whole':>7} {'bit for bit':>12}")
    for kind, name in sorted({(row["kind"], row["signal"]) for row in rows}):
        mine = [row for row in rows if (row["kind"], row["signal"]) == (kind, name)]
        most = max(int(row["lost"]) for row in mine)
        counts = [sum(row[what] == "True" for row in mine) for what in ("whole", "bit for bit")]
        asked = name != "SIGKILL"
        answers = {"SIGKILL": "-9", "SIGTERM": "143", "SIGHUP": "129"}[name]
        good = most <= (0 if asked else INTERVAL + ROUND) and counts == [len(mine)] * 2
        wrong += not good or any(row["status"] != answers for row in mine)
        print(f"{kind:10} {name:8} {len(mine):5} {most:16} {counts[0]:7} {counts[1]:12}")
    return int(wrong > 0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
