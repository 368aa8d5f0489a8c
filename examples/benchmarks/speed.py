"""CPU-seconds per 1,000 steps of Pendulum-v1 beside Stable-Baselines3's SAC and SBX's, and other speeds.

    pip install -c constraints.txt -e ".[benchmarks]"
    python examples/benchmarks/speed.py                      # about half an hour on one core
    python examples/benchmarks/speed.py --only imports       # one part; the rows of the others are kept

One thread, batches of 256, one update a step. The machine may be busy: CPU time counts, runs are paired, in turn, and
a ratio is the median over the pairs. GIO is compiled before it is timed, as it is by default after a minute; it trains
two networks more than SAC, and the floor of each agent is what its matrix products alone would take: their
floating-point operations (`torch.utils.flop_counter`) over the rate that this machine reaches for a layer's products.
Where a row misses its aim, what it spends its time on is kept in `results/speed-PART.txt`.
"""

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import speed_runners as runners
import torch
from kept import Kept, command_line
from speed_runners import Runner, cpu_seconds, ours, paired, ratio, sac, sbx

RESULTS = Path(__file__).parent / "results" / "speed.csv"
KEYS = ("what", "hidden")
SIZES = (256, 128)
FRESH_INTERPRETERS = 12
AGENTS: dict[str, tuple[Callable[[int], Runner], dict[int, float]]] = {
    "Stable-Baselines3 SAC": (sac, {}),
    "GIO": (lambda hidden: ours(hidden, compile=True), {256: 0.95, 128: 1.4}),
    "GIO, eager": (lambda hidden: ours(hidden, compile=False), {}),
    "`UniformGuide`": (lambda hidden: ours(hidden, compile=True, guide="UniformGuide"), {256: 1.3, 128: 1.6}),
    "GIO, 8 environments": (lambda hidden: ours(hidden, environments=8, compile=True), {}),
    "SBX SAC (JAX)": (sbx, {}),
}
"""How each agent is made for a size of its layers, and by size how fast it should be, times Stable-Baselines3's SAC."""
REFERENCE = "Stable-Baselines3 SAC"
UNCOUNTED = ("SBX SAC (JAX)", "GIO, 8 environments")
"""Agents whose operations torch does not see, or that take several steps for an update."""
PLUGGED, PLUGGED_INTO = 0.75, ("Pendulum-v1", "MountainCarContinuous-v0")
OTHERS: dict[str, tuple[str, str]] = {
    **{f"SAC with our reward plugged in, {name}": ("of plain SAC's steps", f"≥ {PLUGGED}") for name in PLUGGED_INTO},
    "`IntrinsicReward.compute`, 8,192 transitions": ("transitions/s", "≥ 300000"),
    "`IntrinsicReward.compute`, 256 transitions": ("transitions/s", ""),
    "FrozenLake, learning": ("steps/s", "≥ 20000"),
    "`evaluate`, 20 episodes of Pendulum": ("s", ""),
    "`from gio_pyro import GIO`": ("times `import torch, pyro`", "≤ 1.3"),
    "`import gio_pyro`": ("times `import torch, pyro`", "≤ 1.3"),
    "`gio --help`": ("s", "≤ 1"),
    "replay of 1,000,000 transitions": ("times their bytes", "≤ 1.15"),
}
"""The unit of each other row, and its aim."""


def main() -> int:
    """Measure, print, keep, and return the exit status: 1 if an aim is missed."""
    parser = command_line(__doc__, RESULTS)
    parser.add_argument("--only", choices=list(PARTS), help="measure one part only")
    parser.add_argument("--hidden", type=int, nargs="*", default=SIZES, help="units of each of the two layers")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=200, help="environment steps of each run of a pair")
    parser.add_argument("--rows", type=int, default=1_000_000, help="transitions in the replay that is weighed")
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled agents")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for part, measure in PARTS.items():
        if options.only in (None, part):
            profiles = measure(options, kept)
            write_profiles(options.results.with_name(f"speed-{part}.txt"), profiles)
    print("\n".join(["", *table(kept)]))
    return int(any(missed(row) for row in kept.rows.values()))


def write_profiles(path: Path, profiles: dict[str, str]) -> None:
    """Write what the rows that missed their aims spend their time on; none, and there is no file."""
    path.unlink(missing_ok=True)
    if profiles:
        path.write_text("\n".join(f"{name}\n{'=' * len(name)}\n{content}\n" for name, content in profiles.items()))


def agents(options: argparse.Namespace, kept: Kept) -> dict[str, str]:
    """Measure the agents beside Stable-Baselines3's SAC, and the floors of their updates."""
    profiles: dict[str, str] = {}
    for hidden in options.hidden:
        made = {name: make(hidden) for name, (make, _) in AGENTS.items() if measurable(name, options)}
        rate = runners.matrix_rate(hidden)
        print(f"2 x {hidden}: products of a layer run at {rate / 1e9:.1f} GFLOP a CPU-second", flush=True)
        seconds = paired(made, options.pairs, options.steps)
        floors = {name: floor(name, hidden, made, rate) for name in made if name not in UNCOUNTED}
        for name, measured in seconds.items():
            aim, speed = AGENTS[name][1].get(hidden), ratio(seconds[REFERENCE], measured)
            wanted = "" if aim is None else f"≥ {aim}"
            keep(kept, name, hidden, statistics.median(measured), ratio=speed, floor=floors.get(name), aim=wanted)
            if aim is not None and speed < aim:
                profiles[f"{name}, 2 x {hidden}"] = runners.operations_table(made[name])
    return profiles


def measurable(name: str, options: argparse.Namespace) -> bool:
    """Whether an agent is to be measured here."""
    if name == "SBX SAC (JAX)":
        return importlib.util.find_spec("sbx") is not None
    return not options.no_compile or name in (REFERENCE, "GIO, eager")


def floor(name: str, hidden: int, made: dict[str, Runner], rate: float) -> float:
    """Return the CPU-seconds per 1,000 steps of the matrix products alone; compiled ones are counted eagerly."""
    eager = {"GIO": "GIO, eager"}.get(name, name)
    run = ours(hidden, compile=False, guide="UniformGuide") if "UniformGuide" in name else made[eager]
    return 1000 * runners.operations(run) / rate


def plugged(options: argparse.Namespace, kept: Kept) -> dict[str, str]:
    """Measure Stable-Baselines3's SAC with our intrinsic reward beside plain SAC."""
    profiles: dict[str, str] = {}
    for environment in PLUGGED_INTO:
        for hidden in options.hidden:
            both = {"plain": sac(hidden, environment), "plugged": sac(hidden, environment, plugged=True)}
            seconds = paired(both, options.pairs, options.steps)
            share = ratio(seconds["plain"], seconds["plugged"])
            name = f"SAC with our reward plugged in, {environment}"
            keep(kept, name, hidden, share, aim=OTHERS[name][1])
            if share < PLUGGED:
                profiles[f"{name}, 2 x {hidden}"] = runners.functions_table(both["plugged"], options.steps)
    return profiles


def calls(options: argparse.Namespace, kept: Kept) -> dict[str, str]:
    """Measure the intrinsic reward of many transitions and of a batch, finite worlds, and evaluation."""
    for count in (8_192, 256):
        other(kept, f"`IntrinsicReward.compute`, {count:,} transitions", runners.computing(count, 4 * options.pairs))
    repeats, steps, learn = max(options.pairs // 4, 1), 50 * options.steps, runners.finite()
    name = "FrozenLake, learning"
    other(kept, name, statistics.median(steps / cpu_seconds(lambda: learn(steps)) for _ in range(repeats)))
    other(kept, "`evaluate`, 20 episodes of Pendulum", runners.evaluating(repeats))
    return {name: runners.functions_table(learn, steps)} if missed(kept[name, ""]) else {}


def imports(options: argparse.Namespace, kept: Kept) -> dict[str, str]:
    """Measure imports and the help in fresh interpreters, in turn; the first of each is left out."""
    statements = ("import torch, pyro", "import gio_pyro", "from gio_pyro import GIO")
    count = min(options.pairs, FRESH_INTERPRETERS)
    turns = [[*map(runners.importing, statements), runners.helping()] for _ in range(count + 1)][1:]
    libraries, package, agent, shown = map(list, zip(*turns, strict=True))
    other(kept, "`from gio_pyro import GIO`", 1 / ratio(libraries, agent))
    other(kept, "`import gio_pyro`", 1 / ratio(libraries, package))
    other(kept, "`gio --help`", statistics.median(shown))
    return {}


def replay(options: argparse.Namespace, kept: Kept) -> dict[str, str]:
    """Weigh a full replay buffer."""
    other(kept, "replay of 1,000,000 transitions", runners.weight(options.rows))
    return {}


PARTS: dict[str, Callable[[argparse.Namespace, Kept], dict[str, str]]] = {
    "agents": agents,
    "plugged": plugged,
    "calls": calls,
    "imports": imports,
    "replay": replay,
}
"""Each measures, keeps its rows, and returns profiles of those that miss their aims."""


def other(kept: Kept, what: str, value: float) -> None:
    """Keep a row that has no size of layers."""
    keep(kept, what, "", value, aim=OTHERS[what][1])


def keep(
    kept: Kept,
    what: str,
    hidden: int | str,
    value: float,
    *,
    ratio: float | None = None,
    floor: float | None = None,
    aim: str | None = None,
) -> None:
    """Print and keep a row; CPU-seconds per 1,000 steps for agents, else the unit of `OTHERS`."""
    numbers = {"value": value, "ratio": ratio, "floor": floor}
    row = {"what": what, "hidden": hidden} | {
        name: "" if number is None else f"{number:.4g}" for name, number in numbers.items()
    }
    print(f"{what:<48} {hidden:>4} {row['value']:>9} {row['ratio']:>7} {row['floor']:>7} {aim or '':>9}", flush=True)
    kept.add([row | {"aim": aim or ""}])


def missed(row: dict[str, str]) -> bool:
    """Whether a row misses its aim."""
    if not row["aim"]:
        return False
    sign, aim = row["aim"].split()
    found = float(row["ratio"] or row["value"])
    return found < float(aim) if sign == "≥" else found > float(aim)


def table(kept: Kept) -> list[str]:
    """Return both tables of the rows as Markdown."""
    sizes = [hidden for hidden in SIZES if (REFERENCE, hidden) in kept]
    lines: list[str] = []
    if sizes:
        head = "".join(f" 2 x {h}: CPU-s | times SAC's speed | of it the floor | aim |" for h in sizes)
        lines = [f"| 1,000 steps of Pendulum |{head}", "|---" * (1 + 4 * len(sizes)) + "|"]
        lines += [
            f"| {name} |{''.join(cells(kept, name, h) for h in sizes)}" for name in AGENTS if (name, sizes[0]) in kept
        ]
    rows = [row for row in kept.rows.values() if row["what"] in OTHERS]
    if rows:
        lines += ["", "| other speeds | measured | | aim |", "|---|---|---|---|"]
        for row in rows:
            size = f", 2 x {row['hidden']}" if row["hidden"] else ""
            value = f"{float(row['value']):,.3g}" if float(row["value"]) < 1000 else f"{float(row['value']):,.0f}"
            lines.append(f"| {row['what']}{size} | {value} | {OTHERS[row['what']][0]} | {row['aim'] or '—'} |")
    return lines


def cells(kept: Kept, name: str, hidden: int) -> str:
    """Return the cells of an agent for one size."""
    if (name, hidden) not in kept:
        return " | | | |"
    row = kept[name, hidden]
    value = float(row["value"])
    share = f"{float(row['floor']) / value:.0%}" if row["floor"] else "—"
    return f" {value:.1f} | {float(row['ratio']):.2f} | {share} | {row['aim'] or '—'} |"


if __name__ == "__main__":
    sys.exit(main())
