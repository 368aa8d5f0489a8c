"""How long the exact tier takes, beside the bounds it has to keep.

    python examples/benchmarks/exact_tier.py

Each line runs once cold, then five times warm, on one thread; the median of the five is held to the bound. The
certificate is computed here from the channel of *all* action sequences, none of them merged, so it does not trust
the merging that `empowerment` does. The exit status is 1 where a bound is missed.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from gio_pyro import tabular

RUNS = 5
LARGEST_GAP = 1e-6
"""Bits."""


@dataclass(frozen=True)
class Timing:
    """One line of the table; every number but the name is in seconds."""

    name: str
    cold: float
    warm: float
    bound: float

    def __str__(self) -> str:
        verdict = "ok" if self.warm <= self.bound else "MISSED"
        times = f"{1e3 * self.cold:10.1f} {1e3 * self.warm:10.1f} {1e3 * self.bound:10.0f}"
        return f"{self.name:<44}{times}  {verdict}"


def timed(name: str, bound: float, work: Callable[[], object]) -> Timing:
    """Run `work` once cold and `RUNS` times warm; `bound` is in seconds."""
    seconds = []
    for _ in range(RUNS + 1):
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return Timing(name, seconds[0], median(seconds[1:]), bound)


def certified_gap(mdp: tabular.TabularMDP, empowerment: Tensor, horizon: int) -> float:
    """Return by how many bits `empowerment` `[S]` may be wrong at most, over all states."""
    channel = torch.eye(mdp.states, dtype=torch.float64)[:, None, :]
    for _ in range(horizon):
        channel = torch.einsum("sum,man->suan", channel, mdp.transition).flatten(1, 2)
    best = tabular.blahut_arimoto(channel, tolerance=1e-8)
    wrong = torch.maximum(best.capacity + best.gap - empowerment, empowerment - best.capacity)
    return wrong.max().item() / log(2)


def random_binary_channels(count: int) -> Tensor:
    """Return channels with two inputs and two outputs, `[count, 2, 2]`."""
    p = torch.rand(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.stack([p, 1 - p], -1)


def main() -> int:
    torch.set_num_threads(1)
    maze, noisy, channels = tabular.klyubin_maze(), tabular.klyubin_maze(noise=0.1), random_binary_channels(10_000)
    print(f"{'milliseconds':<44}{'cold':>10} {'warm':>10} {'bound':>10}")
    timings = [timed(f"maze, 100 states, n = {n}", 0.05, partial(tabular.empowerment, maze, n)) for n in range(1, 8)]
    timings.append(timed("maze with noise 0.1, 100 states, n = 3", 5.0, partial(tabular.empowerment, noisy, 3)))
    timings.append(timed("10,000 binary channels", 1.0, partial(tabular.blahut_arimoto, channels)))
    print(*timings, sep="\n")
    gap = certified_gap(noisy, tabular.empowerment(noisy, 3), 3)
    print(f"maze with noise: certified to {gap:.1e} bits (bound {LARGEST_GAP:.0e})")
    return int(any(line.warm > line.bound for line in timings) or gap > LARGEST_GAP)


if __name__ == "__main__":
    sys.exit(main())
