"""What a gradient step through an ELBO of Pyro costs beside the library's own loss, and beside `pyro.infer.SVI`.

    python examples/benchmarks/pyro_elbo.py              # two minutes on one core

Batches of 256, two layers of 128 units, one thread, no compilation. Runs of each method take turns, and CPU seconds are
counted, so the machine may be busy; what counts is the median of the paired ratios. The own loss is `elbo`, joint
training: the same terms, whose gradients are equal (tests/inference/test_fidelity.py). `SVI by hand` is
`pyro.infer.SVI(model, guide, pyro.optim.Adam, loss).step` with Pyro's defaults, on the ELBO alone, without the term of
the dynamics. The bound on joint training is 1.3. Exit status 1 if it is missed.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pyro.optim
import torch
from gymnasium.spaces import Box, Discrete
from kept import Kept, command_line
from pyro.infer import SVI, config_enumerate
from torch import Tensor

from gio_pyro import guides, models
from gio_pyro.inference import Inference, PyroElbo, objective_named
from gio_pyro.programs import build_guide, build_model, detached, example, without_validation
from gio_pyro.types import Spec, Transitions

RESULTS = Path(__file__).parent / "results" / "pyro_elbo.csv"
BATCH, STATES, ACTIONS, SIZE = 256, 16, 4, 3
BOUND = 1.3
STEPS = 20
"""Steps of each run."""
REAL = Box(-np.inf, np.inf, (SIZE,), dtype=np.float32)
KINDS = {
    "finite": (
        Spec(Discrete(STATES), Discrete(ACTIONS), Discrete(STATES)),
        models.CategoricalNetworkModel,
        guides.CategoricalNetworkGuide,
        "TraceEnum_ELBO",
    ),
    "continuous": (
        Spec(REAL, Box(-1, 1, (1,), dtype=np.float32), REAL),
        models.GaussianModel,
        guides.GaussianGuide,
        "Trace_ELBO",
    ),
}
"""Spaces, programs, and the ELBO of Pyro that equals the library's own."""
KEYS = ("kind", "method")
METHODS = ("own", "pyro", "pyro, svi", "SVI by hand")
Step = Callable[[], Any]


def policy_of(kind: str) -> Callable[[Tensor], Any]:
    """Return a fixed policy."""
    table = torch.randn(STATES, ACTIONS)

    def policy(state: Tensor) -> Any:
        if kind == "finite":
            return dist.Categorical(logits=table[state])
        return dist.Normal(state[:, :1], torch.ones_like(state[:, :1])).to_event(1)

    return policy


def step_of(kind: str, method: str) -> Step:
    """Return what takes one gradient step."""
    torch.manual_seed(0)
    spec, model_kind, guide_kind, name = KINDS[kind]
    policy = policy_of(kind)
    first = example(spec.state_space, torch.device("cpu"))
    model = build_model(model_kind, spec, policy, first)
    guide = build_guide(guide_kind, spec, model, policy, first)
    if kind == "finite":
        state, future = torch.randint(STATES, (2, BATCH)).unbind(0)
    else:
        state, future = torch.randn(2, BATCH, SIZE).unbind(0)
    no, zeros = torch.zeros(BATCH, dtype=torch.bool), torch.zeros(BATCH)
    batch = Transitions(state, policy(state).sample(), zeros, state, no, no, zeros, zeros + 1)
    if method == "SVI by hand":
        return by_hand(model.program, guide.program, name, policy, state, future)
    objective = objective_named("elbo" if method == "own" else name)
    training = "svi" if method == "pyro, svi" else "joint"
    return partial(
        Inference(model, guide, objective, learning_rate=1e-3, training=training).step, policy, batch, future
    )


def by_hand(p: Any, q: Any, name: str, policy: Any, state: Tensor, future: Tensor) -> Step:
    """Return a step of `pyro.infer.SVI` on the same programs."""

    def model(policy: Any, state: Tensor, future: Tensor) -> Any:
        pyro.module("model", p)
        return p(policy, state, future)

    def guide(policy: Any, state: Tensor, future: Tensor) -> Any:
        pyro.module("guide", q)
        return q(policy, state, future)

    objective = objective_named(name)
    assert isinstance(objective, PyroElbo)
    enumerated = config_enumerate(guide) if name == "TraceEnum_ELBO" else guide
    objective.elbo.max_plate_nesting = 1
    svi = SVI(model, enumerated, pyro.optim.Adam({"lr": 1e-3}), loss=objective.elbo)

    def step() -> None:
        with pyro.settings.context(validate_infer=True, validate_distributions_torch=True, validate_poutine=True):
            svi.step(detached(policy), state, future)

    return step


def seconds(step: Step) -> float:
    """Return the CPU seconds of a step, a mean over a run."""
    start = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - start) / STEPS


def measured(kind: str, pairs: int) -> list[dict[str, object]]:
    """Return one row for each method."""
    steps = {method: step_of(kind, method) for method in METHODS}
    with without_validation(), pyro.get_param_store().scope():  # type: ignore[call-arg]
        for step in steps.values():
            seconds(step)
        runs = [{method: seconds(step) for method, step in steps.items()} for _ in range(pairs)]
    return [
        {
            "kind": kind,
            "method": method,
            "milliseconds": 1_000 * statistics.median(run[method] for run in runs),
            "ratio": statistics.median(run[method] / run["own"] for run in runs),
            "pairs": pairs,
        }
        for method in METHODS
    ]


def table(kept: Kept) -> list[str]:
    """Return milliseconds and ratios as Markdown."""
    head = "| gradient step | finite actions: CPU ms | of the own loss | continuous: CPU ms | of the own loss |"
    lines = [head, "|---" * 5 + "|"]
    titles = {
        "own": "`elbo`, joint",
        "pyro": f"`TraceEnum_ELBO` / `Trace_ELBO`, joint (bound {BOUND})",
        "pyro, svi": "the same, `training=svi`",
        "SVI by hand": "`pyro.infer.SVI.step` by hand",
    }
    for method, title in titles.items():
        rows = [kept[kind, method] for kind in KINDS]
        cells = [f"{float(row['milliseconds']):.1f} | {float(row['ratio']):.2f}" for row in rows]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Measure, keep and print; return the exit status."""
    parser = command_line(__doc__, RESULTS)
    parser.add_argument("--pairs", type=int, default=41)
    given = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(given.results, KEYS)
    for kind in KINDS:
        kept.add(measured(kind, given.pairs))
    print("\n".join(table(kept)))
    return int(any(float(kept[kind, "pyro"]["ratio"]) > BOUND for kind in KINDS))


if __name__ == "__main__":
    sys.exit(main())
