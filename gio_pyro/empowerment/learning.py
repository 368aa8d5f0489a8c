"""Learn n-step empowerment in an environment: take sequences, fit, and again."""

from collections.abc import Callable

from gio_pyro.collection import Collector, Env, make_env
from gio_pyro.collection.make import Vector
from gio_pyro.collection.mask_handlers import RejectMaskHandler
from gio_pyro.empowerment.options import Kept, take
from gio_pyro.empowerment.variational import VariationalEmpowerment, require_horizon
from gio_pyro.errors import InputError
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.programs import without_validation
from gio_pyro.types import PyroProgram
from gio_pyro.utils.checks import whole
from gio_pyro.utils.devices import device_from_name
from gio_pyro.utils.randomness import PrivateRandom

KEPT = 1_000_000
"""Sequences in replay."""
FIRST = 1_000
"""Sequences before the first update."""
WAIT = 0.25
"""Share of learning in which the source rests."""
WARM = 0.1
"""Share of learning in which step sizes rise to their own: the first steps of Adam all point the same way, and large
ones kill the units of a network of pictures."""
UNIFORM = 0.1
"""Share of sequences that are uniform."""
BLIND = (
    "Expected an environment without action masks to learn n-step empowerment in, whose actions are taken without "
    "looking, but it forbids some; take gio_pyro.tabular.empowerment where it has tables."
)
"""What is said to masks."""
Progress = Callable[[int, Figures], None]
"""Called with the environment steps taken and the last figures."""


def learn_empowerment(
    environment: str | Env | Vector,
    horizon: int,
    steps: int,
    *,
    updates: int = 6_000,
    batch_size: int = 256,
    guide: str | PyroProgram = "SequenceGuide",
    hidden: tuple[int, ...] = (128, 128),
    learning_rate: float = 1e-2,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> VariationalEmpowerment:
    """Return the n-step empowerment of an environment, learned from acting in it alone.

    Args:
        environment: an id, an environment, or a vector of them (many sequences at a time are faster to take).
        horizon: n ≥ 1 actions.
        steps: environment steps.
        updates: gradient steps, spread evenly over the environment steps; their size rises at first and falls to 0 at
            the end.
        batch_size: sequences in an update.
        guide: q; see `VariationalEmpowerment`.
        hidden: units of each hidden layer.
        learning_rate: the largest step size of Adam; see `VariationalEmpowerment`.
        seed: of everything.
        device: cpu, cuda or auto.
        progress: called now and then.

    Raises:
        InputError: a number out of range, an unknown environment, or actions that are not Discrete.
        TrainingError: the environment raises or gives what cannot be used.
    """
    require_horizon(horizon)
    for name, number in (("steps", steps), ("updates", updates), ("batch_size", batch_size)):
        whole(name, number, 1)
    where = device_from_name(device)
    collector = Collector(make_env(environment), seed=seed, device=where, mask_handler=RejectMaskHandler(BLIND))
    states, actions = collector.observations.space, collector.actions.space
    with PrivateRandom(seed, where).use(), without_validation():
        learned = VariationalEmpowerment(
            states, actions, horizon, guide=guide, hidden=hidden, learning_rate=learning_rate, device=where
        )
        _learn(learned, collector, steps, updates, batch_size, progress)
    return learned


def _learn(
    learned: VariationalEmpowerment,
    collector: Collector,
    steps: int,
    updates: int,
    batch_size: int,
    progress: Progress | None,
) -> None:
    kept = Kept(KEPT)
    taken = done = 0
    figures: Figures = {}
    while taken < steps:
        new, more = take(collector, learned.source, learned.horizon, UNIFORM)
        taken += more
        if len(new):
            learned.observe(new)
            kept.add(new)
        if not len(kept) or (len(kept) < FIRST and taken < steps):
            continue
        share = min(taken / steps, 1.0)
        while done < share * updates:
            gone = done / updates
            rate = min((done + 1) / (WARM * updates), 1 - gone)
            figures = learned.update(kept.sample(batch_size), rate=rate, source_rests=gone < WAIT)
            done += 1
        if progress is not None:
            progress(taken, figures)
    if not len(kept):
        raise InputError(
            f"Expected sequences of {learned.horizon} actions whose end is known, but every episode was cut off "
            "before; take a shorter horizon, more steps, or a longer time limit."
        )
