"""Returns of finished runs, read from their folders, with a name for what differs among them."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gio_pyro.errors import InputError
from gio_pyro.sweep.runs import CONFIG, METRICS, STEPS, SUMMARY, score_of
from gio_pyro.utils.files import read_json

Array = np.ndarray[Any, np.dtype[np.float64]]

CURVES = ("exact/return", "eval/mean_reward", "rollout/ep_rew_mean")
"""Metrics that are drawn as the curve of a run; the first that it has."""
FIRST = ("recipe", "model", "guide", "world_model", "filter", "future", "signal", "explorer", "planner")
"""Settings that name a method before others do."""
FILLED_IN = ("max_episode_steps", "map_name")
"""Arguments that Gymnasium fills in, in runs of before config.json said which."""
LONGEST_ARGUMENT = 40
"""Characters; longer ones, such as the maps of mazes, are in config.json, and in a name where they tell runs apart."""
NOT_COMPARED = ("seed", "log_interval")
COLUMNS = ("environment", "method", "seed", "return")


@dataclass(frozen=True)
class Result:
    """One run."""

    environment: str
    method: str
    seed: int
    score: float
    """Mean return of its episodes, reward units; NaN for a run that is not complete or has none."""
    source: str
    """The folder or table that it is from."""
    settings: Mapping[str, str]
    """What may differ among runs, as text."""
    curve: tuple[Array, Array] | None = None
    """Environment steps `[T]` and returns `[T]` while training."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Arguments of the environment, as text; part of its name where they may matter."""
    registered: Sequence[str] = ()
    """Names of those that the environment is registered with."""


def read_results(paths: Iterable[Path], by: Sequence[str] = ()) -> list[Result]:
    """Return all runs of some folders and tables.

    Args:
        paths: run folders, folders that contain some (such as those of sweeps), or CSV files with the columns
            environment, method, seed and return, for instance of another library.
        by: names of settings that distinguish methods; those that differ within an environment by default.

    Raises:
        InputError: a path without runs, a setting that no run has, or a table without these columns.
    """
    runs: dict[Path, Path] = {}
    tables: dict[Path, list[Result]] = {}
    for path in paths:
        if path.is_file() and path.suffix == ".csv":
            tables[path.resolve()] = _read_table(path)
            continue
        folders = sorted({file.parent for file in path.rglob(CONFIG)})
        if not folders:
            raise InputError(
                f"Expected run folders in {path}, but there are none; give those of gio train or gio sweep."
            )
        runs |= {folder.resolve(): folder for folder in folders}
    found = [_read_run(folder) for folder in runs.values()]
    known = {name for result in found for name in result.settings}
    if missing := [name for name in by if name not in known]:
        raise InputError(f"Expected --by to name settings, but no run has {missing[0]!r}; see config.json of a run.")
    return [*named(_in_environments(found), by), *(result for each in tables.values() for result in each)]


def _read_run(folder: Path) -> Result:
    config = read_json(folder / CONFIG)
    seed = (config.get("settings") or {}).get("seed")
    score = score_of(read_json(folder / SUMMARY)) if config.get("reported") is True else math.nan
    return Result(
        environment=_environment(config.get("environment")),
        arguments=_arguments(config.get("environment")),
        registered=_registered(config.get("registered")),
        method="",
        seed=seed if isinstance(seed, int) else 0,
        score=score,
        source=str(folder),
        settings=_settings(config),
        curve=read_curve(folder / METRICS),
    )


def _environment(record: Any) -> str:
    """Return the id of an environment and its wrappers, as text."""
    if not isinstance(record, dict):
        return "unknown environment"
    wrappers = [str(name).rpartition(":")[2] for name in record.get("wrappers") or ()]
    return " ".join([str(record.get("id")), *wrappers])


def _arguments(record: Any) -> dict[str, str]:
    given = record.get("kwargs") if isinstance(record, dict) else None
    return {name: _text(value) for name, value in sorted((given or {}).items())}


def _registered(found: Any) -> Sequence[str]:
    return [str(name) for name in found] if isinstance(found, list) else FILLED_IN


def _in_environments(results: Sequence[Result]) -> list[Result]:
    """Return the results with the arguments of their environments in the names of these.

    Those that it is registered with, and long ones, are left out where all runs of an environment agree.
    """
    differing = {
        (group[0].environment, name)
        for group in _divided([[*results]], lambda result: result.environment)
        for name in {name for result in group for name in result.arguments}
        if len({result.arguments.get(name) for result in group}) > 1
    }
    registered = {(result.environment, name) for result in results for name in result.registered}

    def shown(environment: str, name: str, value: str) -> bool:
        place = environment, name
        return place in differing or (place not in registered and len(value) <= LONGEST_ARGUMENT)

    def name_of(result: Result) -> str:
        own = [f"{name}={text}" for name, text in result.arguments.items() if shown(result.environment, name, text)]
        return " ".join([result.environment, *own])

    return [replace(result, environment=name_of(result)) for result in results]


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Return everything that may differ among runs, as text."""
    parts = {"recipe": config.get("recipe"), **(config.get("programs") or {}), "future": config.get("future")}
    environment = config.get("environment")
    vector = environment.get("vector") if isinstance(environment, dict) else None
    own = {k: v for k, v in (config.get("settings") or {}).items() if k not in NOT_COMPARED}
    return {
        name: _text(value) for name, value in {**parts, **own, "envs": vector, "steps": config.get("steps")}.items()
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read_table(path: Path) -> list[Result]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise InputError(f"Expected the columns {', '.join(COLUMNS)} in {path}, but got {reader.fieldnames}.")
        try:
            return [
                Result(
                    row["environment"], row["method"], int(row["seed"]), float(row["return"] or "nan"), str(path), {}
                )
                for row in reader
            ]
        except (ValueError, TypeError) as error:
            raise InputError(f"Expected numbers in the columns seed and return of {path}, but: {error}.") from error


def read_curve(path: Path) -> tuple[Array, Array] | None:
    """Return steps and returns of a file of metrics, without reports before the first episode ended."""
    try:
        header, *lines = path.read_text(errors="replace").splitlines()
    except (OSError, ValueError):
        return None
    columns = header.split(",")
    name = next((name for name in CURVES if name in columns), None)
    if name is None or STEPS not in columns:
        return None
    x, y = columns.index(STEPS), columns.index(name)
    enough = max(x, y) + 1
    cells = [line.split(",", enough) for line in lines if line.count(",") == len(columns) - 1]
    table = np.array([_numbers([row[place] for row in cells]) for place in (x, y)]).T
    table = table[np.isfinite(table).all(1)]
    return (table[:, 0], table[:, 1]) if len(table) else None


def _numbers(cells: Sequence[str]) -> list[float]:
    """Return the numbers in cells; NaN for another text."""
    try:
        return [*map(float, cells)]
    except ValueError:
        return [*map(_number, cells)]


def _number(cell: str) -> float:
    """Return the number in a cell; NaN for another text."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def repeated(results: Sequence[Result]) -> int:
    """Return how many runs have the environment, method and seed of another one: they are no further evidence."""
    return len(results) - len({(result.environment, result.method, result.seed) for result in results})


def named(results: Sequence[Result], by: Sequence[str] = ()) -> list[Result]:
    """Return the results with methods named by the settings in which runs of an environment differ.

    A setting that follows from those before it, as those of a recipe do, is left out of the name.
    """
    names = list(by) or _distinguishing(results)
    whole, short = ([form(result, names) for result in results] for form in (_method, _short_method))
    same = len(set(zip(whole, short, strict=True))) == len(set(whole)) == len(set(short))
    return [replace(result, method=method) for result, method in zip(results, short if same else whole, strict=True)]


def _distinguishing(results: Sequence[Result]) -> list[str]:
    """Return the settings that divide the runs of some environment, in order, without those that follow from others."""
    every = dict.fromkeys(name for result in results for name in result.settings)
    names: list[str] = []
    groups: list[list[Result]] = _divided([list(results)], lambda result: result.environment)
    for name in sorted(every, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        finer = _divided(groups, lambda result, name=name: result.settings.get(name))
        if len(finer) > len(groups):
            names.append(name)
            groups = finer
    return names


def _divided(groups: Iterable[list[Result]], key: Any) -> list[list[Result]]:
    found: list[list[Result]] = []
    for group in groups:
        parts: dict[Any, list[Result]] = {}
        for result in group:
            parts.setdefault(key(result), []).append(result)
        found += parts.values()
    return found


def _method(result: Result, names: Sequence[str]) -> str:
    if not names:
        kept = {name: result.settings.get(name, "null") for name in ("recipe", "guide")}
        return next((value for value in kept.values() if value != "null"), "all runs")
    words = [f"{name}={result.settings.get(name, 'null')}" for name in names]
    return " ".join(words).replace("=null", "=none")


def _short_method(result: Result, names: Sequence[str]) -> str:
    """Return the name of a method with programs and parts by their own names, and without those that it lacks."""
    if not names:
        return _method(result, names)
    values = [(name, result.settings.get(name, "null")) for name in names]
    words = [value if name in FIRST else f"{name}={value}" for name, value in values if value != "null"]
    return " ".join(words) or f"no {' '.join(names)}"
