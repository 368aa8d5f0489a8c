"""Learn n-step empowerment in an environment: alternate collecting sequences and fitting."""

from collections.abc import Callable

from gio_pyro.collection import Collector, Env, make_env
from gio_pyro.collection.make import Vector
from gio_pyro.collection.mask_handlers import RejectMaskHandler
from gio_pyro.empowerment.options import OptionReplay, collect_options
from gio_pyro.empowerment.variational import VariationalEmpowerment, require_horizon
from gio_pyro.errors import InputError
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.programs import without_validation
from gio_pyro.types import PyroProgram
from gio_pyro.utils.checks import whole
from gio_pyro.utils.devices import device_from_name
from gio_pyro.utils.randomness import PrivateRandom

REPLAY_SIZE = 1_000_000
"""Maximum number of sequences in replay."""
LEARNING_STARTS = 1_000
"""Number of sequences before the first update."""
SOURCE_DELAY = 0.25
"""Fraction of the updates before the source is trained."""
WARMUP = 0.1
"""Fraction of the updates in which learning rates increase linearly: the first steps of Adam are strongly correlated,
and large ones deactivate units of convolutional networks."""
UNIFORM_SHARE = 0.1
"""Fraction of sequences that are drawn uniformly."""
MASKS_ERROR = (
    "Expected an environment without action masks to learn n-step empowerment in, as action sequences are open loop, "
    "but it forbids some; use gio_pyro.tabular.empowerment where it has tables."
)
"""Error for environments with action masks."""
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
        environment: an id, an environment, or a vector of them (faster: sequences are collected in parallel).
        horizon: n ≥ 1 actions.
        steps: environment steps.
        updates: gradient steps, spread evenly over the environment steps; the learning rate increases at first and
            decays to 0.
        batch_size: sequences per update.
        guide: q; see `VariationalEmpowerment`.
        hidden: units of each hidden layer.
        learning_rate: the largest learning rate of Adam; see `VariationalEmpowerment`.
        seed: seed of all random generators.
        device: cpu, cuda or auto.
        progress: called after every collection.

    Raises:
        InputError: a number out of range, an unknown environment, or actions that are not Discrete.
        TrainingError: the environment raises, or returns invalid observations or rewards.
    """
    require_horizon(horizon)
    for name, number in (("steps", steps), ("updates", updates), ("batch_size", batch_size)):
        whole(name, number, 1)
    torch_device = device_from_name(device)
    collector = Collector(
        make_env(environment), seed=seed, device=torch_device, mask_handler=RejectMaskHandler(MASKS_ERROR)
    )
    states, actions = collector.observations.space, collector.actions.space
    with PrivateRandom(seed, torch_device).use(), without_validation():
        learned = VariationalEmpowerment(
            states, actions, horizon, guide=guide, hidden=hidden, learning_rate=learning_rate, device=torch_device
        )
        _fit(learned, collector, steps, updates, batch_size, progress)
    return learned


def _fit(
    learned: VariationalEmpowerment,
    collector: Collector,
    steps: int,
    updates: int,
    batch_size: int,
    progress: Progress | None,
) -> None:
    replay = OptionReplay(REPLAY_SIZE)
    taken = updated = 0
    figures: Figures = {}
    while taken < steps:
        new, more = collect_options(collector, learned.source, learned.horizon, UNIFORM_SHARE)
        taken += more
        if len(new):
            learned.observe(new)
            replay.add(new)
        if not len(replay) or (len(replay) < LEARNING_STARTS and taken < steps):
            continue
        share = min(taken / steps, 1.0)
        while updated < share * updates:
            fraction = updated / updates
            rate = min((updated + 1) / (WARMUP * updates), 1 - fraction)
            figures = learned.update(replay.sample(batch_size), rate=rate, source_rests=fraction < SOURCE_DELAY)
            updated += 1
        if progress is not None:
            progress(taken, figures)
    if not len(replay):
        raise InputError(
            f"Expected sequences of {learned.horizon} actions whose end is known, but every episode was truncated "
            "before; use a shorter horizon, more steps, or a longer time limit."
        )
