"""`gio sweep`: carry out a new or a resumed sweep, over all values or by a search, and print what came out."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any

from gio_pyro.cli.options import SweepOptions
from gio_pyro.cli.stopping import Stopped, collect_signals, status_of
from gio_pyro.cli.swept_flags import SweptFlags, resumed_with
from gio_pyro.errors import InputError
from gio_pyro.sweep.attempts import COMPLETE, FAILED, STOPPED, Outcome, outcome_on_disk
from gio_pyro.sweep.carry_out import carry_out
from gio_pyro.sweep.folder import SweepFolder
from gio_pyro.sweep.pools import Pool, pool_named
from gio_pyro.sweep.processes import Processes
from gio_pyro.sweep.progress import Progress
from gio_pyro.sweep.runs import Run, run_name
from gio_pyro.sweep.search import Search, Trial
from gio_pyro.sweep.variants import Variant, parse_seeds, variants

MAIN = "gio_pyro.cli.main:entry_point"
"""What a run calls."""
PRELOAD = ("gio_pyro.cli.preloaded",)
"""Modules that every run imports."""
SEEDS = "0-4"


def run_sweep(environments: Sequence[str], options: SweepOptions, groups: Sequence[Any]) -> int:
    """Carry out a new or a resumed sweep and print what came out; returns the exit status."""
    for name, value in (("--jobs", options.jobs), ("--search", options.search)):
        if value is not None and value < 1:
            raise InputError(f"Expected {name} to be at least 1, but got {value}.")
    folder, search = (_resumed if options.resume else _begun)(environments, options, SweptFlags(groups, options))
    try:
        with _place(folder, options) as (pool, stop, jobs):
            if search is None:
                outcomes = _all(folder.runs(), folder, pool, stop, quiet=options.quiet)
            else:
                outcomes = _searched(folder, search, pool, stop, jobs, quiet=options.quiet)
    finally:
        folder.close()
    _print_outcomes(folder, outcomes)
    if signals := stop():
        print(f"\nInterrupted; go on with: gio sweep --resume {folder.path}", file=sys.stderr)
        return status_of(Stopped(signals[0]))
    return 0 if all(outcome.status == COMPLETE for outcome in outcomes.values()) else 1


Stop = Callable[[], list[int]]
"""Returns the stop signals received so far."""


def _begun(
    environments: Sequence[str], options: SweepOptions, flags: SweptFlags
) -> tuple[SweepFolder, dict[str, Any] | None]:
    """Return the folder of a sweep with its plan, after a check of the arguments, and what is searched for."""
    if not environments:
        raise InputError("Expected ENV after gio sweep, but got none; see gio sweep --help.")
    flags.check(environments[0], search=options.search is not None)
    seeds = parse_seeds(SEEDS if options.seeds is None else options.seeds)
    name = environments[0].rpartition(":")[2].replace("/", "-")
    folder = SweepFolder.first_free(name) if options.out is None else SweepFolder(options.out)
    try:
        if folder.search() is not None:
            raise InputError(f"Expected another --out, but {folder.path} is that of a search; go on with --resume.")
        if options.search is None:
            each = [(v, e, s) for s in seeds for e in environments for v in variants(flags.choices)]
            folder.add([_run(folder, e, v, s, flags.words(v)) for v, e, s in each])
            return folder, None
        if folder.runs():
            raise InputError(f"Expected a new folder for a search, but {folder.path} has runs; name another --out.")
        if len(environments) > 1:
            raise InputError(
                f"Expected one ENV beside --search, but got {len(environments)}; search in each by itself."
            )
        plan = {"trials": options.search, "environment": environments[0], "seeds": seeds}
        plan |= {"flags": flags.words(), "space": flags.choices}
        folder.add([], plan)
        return folder, plan
    except BaseException:
        folder.close()
        raise


def _resumed(
    environments: Sequence[str], options: SweepOptions, flags: SweptFlags
) -> tuple[SweepFolder, dict[str, Any] | None]:
    """Return the folder of a sweep that was interrupted, and what is searched for."""
    if refused := [*environments, *flags.given(("seeds", "set", "search", "out"))]:
        raise InputError(f"Expected --resume to keep the sweep's own settings, but got {' '.join(refused)} as well.")
    assert options.resume is not None
    if not SweepFolder.is_sweep(options.resume):
        raise InputError(f"Expected the folder of a sweep, but got {options.resume}, which is none.")
    folder = SweepFolder(options.resume)
    return folder, folder.search()


@contextmanager
def _place(folder: SweepFolder, options: SweepOptions) -> Iterator[tuple[Pool, Stop, int]]:
    """Yield where runs take place, the stop signals received so far, and how many runs there are at once."""
    jobs = options.jobs or os.cpu_count() or 1
    pool = pool_named(options.on, Processes(MAIN, PRELOAD), options.jobs if options.on else jobs, folder.path)
    try:
        with collect_signals() as signals:
            yield pool, lambda: signals, jobs
    finally:
        pool.close()


def _all(runs: Sequence[Run], folder: SweepFolder, pool: Pool, stop: Stop, *, quiet: bool) -> dict[str, Outcome]:
    progress = Progress(len(runs), quiet=quiet)
    try:
        return carry_out(runs, folder, pool, progress, lambda: bool(stop()))
    finally:
        progress.close()


def _searched(
    folder: SweepFolder, plan: Mapping[str, Any], pool: Pool, stop: Stop, jobs: int, *, quiet: bool
) -> dict[str, Outcome]:
    """Carry out a search, as many trials at a time as fill the jobs, and print the best settings."""
    search = Search(folder.path, plan["space"])
    seeds, trials = plan["seeds"], search.interrupted()
    outcomes: dict[str, Outcome] = {}
    together = -(-jobs // len(seeds))
    while not stop():
        wanted = min(together, plan["trials"] - search.ended())
        trials += [search.ask() for _ in range(wanted - len(trials))]
        if not trials:
            break
        runs = {trial: _trial_runs(folder, plan, trial) for trial in trials}
        every = {run.name: run for each in runs.values() for run in each}  # trials may have the same values
        folder.add(every.values())
        outcomes |= _all([*every.values()], folder, pool, stop, quiet=quiet)
        for trial, each in runs.items():
            if not any(outcomes[run.name].status == STOPPED for run in each):
                search.tell(trial.number, fmean(run.score for run in each))
        trials = []
    outcomes = {run.name: outcomes.get(run.name) or outcome_on_disk(run) for run in folder.runs()}
    folder.write_table(outcomes)
    if best := search.best():
        print(f"best of {search.ended()}: {best[0]}, mean return {best[1]:.4g}")
    return outcomes


def _trial_runs(folder: SweepFolder, plan: Mapping[str, Any], trial: Trial) -> list[Run]:
    words = [*plan["flags"], *SweptFlags.varied(trial.variant)]
    return [_run(folder, plan["environment"], trial.variant, seed, words) for seed in plan["seeds"]]


def _run(folder: SweepFolder, environment: str, variant: Variant, seed: int, words: Sequence[str]) -> Run:
    name = run_name(environment, str(variant), seed)
    return Run(
        folder=str(folder.path / name),
        environment=environment,
        variant=str(variant),
        seed=seed,
        arguments=(environment, *words, f"--seed={seed}"),
        again=resumed_with(environment, words),
    )


def _print_outcomes(folder: SweepFolder, outcomes: Mapping[str, Outcome]) -> None:
    """Print how many runs are complete, and each error once."""
    complete = sum(outcome.status == COMPLETE for outcome in outcomes.values())
    print(f"{complete} of {len(outcomes)} runs are complete")
    errors = [outcome.error for outcome in outcomes.values() if outcome.status == FAILED]
    for error in dict.fromkeys(errors):
        print(f"{errors.count(error)} failed: {error}", file=sys.stderr)
    print(f"sweep folder: {folder.path}")
