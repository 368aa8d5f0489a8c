"""`gio sweep`: the commands of `gio train` that a sweep stands for, and carrying them out."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any

from gio_pyro.cli.option_groups import flag, train_options
from gio_pyro.cli.options import SweepOptions
from gio_pyro.cli.parsing import parse
from gio_pyro.cli.stopping import Stopped, collect_signals, status_of
from gio_pyro.cli.train_command import train
from gio_pyro.errors import InputError, unknown
from gio_pyro.settings import ALIASES
from gio_pyro.sweep.attempts import COMPLETE, FAILED, Outcome
from gio_pyro.sweep.carry_out import carry_out
from gio_pyro.sweep.folder import SweepFolder
from gio_pyro.sweep.pools import pool_named
from gio_pyro.sweep.processes import Processes
from gio_pyro.sweep.progress import Progress
from gio_pyro.sweep.runs import Run, resumed_with, run_name
from gio_pyro.sweep.variants import RECIPE, Variant, parse_choices, parse_seeds, split_values, variants

MAIN = "gio_pyro.cli.main:entry_point"
"""What a run calls."""
PRELOAD = ("gio_pyro.cli.run_commands",)
"""Modules that every run imports."""
SEEDS = "0-4"
PASSED_ON = ("steps", "device", "checkpoint_every")
"""Options of a sweep that are those of its runs."""
PLACES = ("out", "resume", "quiet", "seed")
"""Options of `gio train` that a sweep has in another form."""


def run_sweep(environments: Sequence[str], options: SweepOptions, groups: Sequence[Any]) -> int:
    """Carry out a new or a resumed sweep and print what came out; returns the exit status."""
    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"Expected --jobs to be at least 1, but got {options.jobs}.")
    folder, runs = _resumed(environments, options, groups) if options.resume else _begun(environments, options, groups)
    try:
        return _carried_out(folder, runs, options)
    finally:
        folder.close()


def _begun(environments: Sequence[str], options: SweepOptions, groups: Sequence[Any]) -> tuple[SweepFolder, list[Run]]:
    """Return the folder of a sweep and its runs, after a check of their arguments."""
    if not environments:
        raise InputError("Expected ENV after gio sweep, but got none; see gio sweep --help.")
    flags = _flags(groups, options)
    choices = _choices(options, groups, flags)
    for changed in _each_choice(choices):
        parse(["train", environments[0], *_words(flags), *_varied(changed)], {"train": train, "sweep": train})
    seeds = parse_seeds(SEEDS if options.seeds is None else options.seeds)
    name = environments[0].rpartition(":")[2].replace("/", "-")
    folder = SweepFolder.first_free(name) if options.out is None else SweepFolder(options.out)
    try:
        runs = [
            _run(folder, environment, variant, seed, flags)
            for seed in seeds
            for environment in environments
            for variant in variants(choices)
        ]
        return folder, folder.add(runs)
    except BaseException:
        folder.close()
        raise


def _resumed(
    environments: Sequence[str], options: SweepOptions, groups: Sequence[Any]
) -> tuple[SweepFolder, list[Run]]:
    """Return the folder of a sweep that was interrupted, and its runs."""
    refused = [*environments, *_words(_flags(groups, options))]
    refused += [flag(name) for name in ("seeds", "set", "out") if getattr(options, name)]
    refused += [flag(RECIPE)] if groups[0].recipe else []
    if refused:
        raise InputError(f"Expected --resume to keep the sweep's own settings, but got {' '.join(refused)} as well.")
    assert options.resume is not None
    if not SweepFolder.is_sweep(options.resume):
        raise InputError(f"Expected the folder of a sweep, but got {options.resume}, which is none.")
    folder = SweepFolder(options.resume)
    return folder, folder.runs()


def _carried_out(folder: SweepFolder, runs: list[Run], options: SweepOptions) -> int:
    jobs = (os.cpu_count() or 1) if options.jobs is None and options.on is None else options.jobs
    progress = Progress(len(runs), quiet=options.quiet)
    pool = pool_named(options.on, Processes(MAIN, PRELOAD), jobs, folder.path)
    with collect_signals() as signals:
        try:
            outcomes = carry_out(runs, folder, pool, progress, lambda: bool(signals))
        finally:
            progress.close()
            pool.close()
    _print_outcomes(folder, outcomes)
    if signals:
        print(f"\nInterrupted; go on with: gio sweep --resume {folder.path}", file=sys.stderr)
        return status_of(Stopped(signals[0]))
    return 0 if all(outcome.status == COMPLETE for outcome in outcomes.values()) else 1


def _print_outcomes(folder: SweepFolder, outcomes: Mapping[str, Outcome]) -> None:
    """Print how many runs are complete, and each error once."""
    complete = sum(outcome.status == COMPLETE for outcome in outcomes.values())
    print(f"{complete} of {len(outcomes)} runs are complete")
    errors = [outcome.error for outcome in outcomes.values() if outcome.status == FAILED]
    for error in dict.fromkeys(errors):
        print(f"{errors.count(error)} failed: {error}", file=sys.stderr)
    print(f"sweep folder: {folder.path}")


def _run(folder: SweepFolder, environment: str, variant: Variant, seed: int, flags: Mapping[str, Sequence[str]]) -> Run:
    name = run_name(environment, str(variant), seed)
    words = [*_words(flags), *_varied(variant.values)]
    return Run(
        folder=str(folder.path / name),
        log=str(folder.logs / f"{name}.log"),
        environment=environment,
        variant=str(variant),
        seed=seed,
        arguments=(environment, *words, f"--seed={seed}"),
        again=resumed_with(environment, words),
    )


def _flags(groups: Sequence[Any], options: SweepOptions) -> dict[str, list[str]]:
    """Return the arguments of `gio train` for all options that differ from their defaults, by option."""
    given = {
        option.name: _as_words(option, getattr(holder, option.name))
        for holder in groups
        for option in fields(holder)
        if option.name != RECIPE and getattr(holder, option.name) != option.default
    }
    passed = {o.name: o for o in fields(options) if o.name in PASSED_ON and getattr(options, o.name) != o.default}
    return given | {name: _as_words(option, getattr(options, name)) for name, option in passed.items()}


def _as_words(option: "Field[Any]", value: Any) -> list[str]:
    """Return an option as arguments of the command line."""
    name = "--env-arg" if option.name == "env_arg" else flag(option.name)
    if value is True and option.default is False:
        return [name]
    if not isinstance(value, tuple):
        return [f"{name}={value}"]
    if option.default == ():  # may be given several times
        return [f"{name}={each}" for each in value]
    return [name, *map(str, value)]


def _words(flags: Mapping[str, Sequence[str]]) -> list[str]:
    return [word for words in flags.values() for word in words]


def _choices(options: SweepOptions, groups: Sequence[Any], flags: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of each setting that is varied, recipes first.

    Raises:
        InputError: a setting that `gio train` does not have, or that is given by a flag of its own as well.
    """
    choices = parse_choices(options.set)
    recipes = groups[0].recipe
    if recipes is not None:
        if RECIPE in choices:
            raise InputError("Expected --recipe or --set recipe=..., but got both; give one.")
        choices = {RECIPE: split_values(recipes, "--recipe")} | choices
    known = [name for name in train_options(train) if name not in PLACES]
    for name in choices:
        if not name.startswith("env.") and ALIASES.get(name, name) not in known:
            raise InputError(unknown("settings of gio train after --set", name, known, advice="see gio train --help"))
        if ALIASES.get(name, name) in flags:
            raise InputError(f"Expected {flag(name)} or --set {name}=..., but got both; give one.")
    return choices


def _each_choice(choices: Mapping[str, Sequence[str]]) -> Iterator[list[tuple[str, str]]]:
    """Yield, for every value of every setting, one combination in which it is; nothing but the first of others."""
    first = {name: values[0] for name, values in choices.items()}
    yield list(first.items())
    for name, values in choices.items():
        for value in values[1:]:
            yield list((first | {name: value}).items())


def _varied(values: Sequence[tuple[str, str]]) -> list[str]:
    """Return settings that are given as texts as arguments of `gio train`."""
    options = train_options(train)
    words: list[str] = []
    for name, value in values:
        if name.startswith("env."):
            words += ["--env-arg", f"{name.removeprefix('env.')}={value}"]
            continue
        default = options[ALIASES.get(name, name)]
        if default is False and value.lower() in ("true", "false"):
            words += [flag(name)] if value.lower() == "true" else []
        elif name == "hidden":
            words += [flag(name), *value.split()]
        else:
            words.append(f"{flag(name)}={value}")
    return words
