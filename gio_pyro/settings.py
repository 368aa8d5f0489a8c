"""Settings of an agent, each with its unit; saved as readable text with each run.

What checks them is imported where it is used: the help of `gio train` shows the defaults without importing torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gio_pyro.errors import InputError, shown, unknown

if TYPE_CHECKING:
    from gymnasium import Space

NEUTRAL = "neutral"
"""The `initial_value` that is neither optimistic nor pessimistic."""


@dataclass(frozen=True)
class Settings:
    """Settings of `GIO`; names follow Stable-Baselines3 where the meaning is the same.

    The defaults shown are those of finite worlds, which use tables; `Settings.of` replaces some of them for networks
    (`NETWORK`, `CONTINUOUS`). The help of `gio train` shows the docstrings of the fields.
    """

    temperature: float | str = 0.01
    """α > 0, the price of one nat in reward units: a number; "linear:FROM:TO:STEPS"; "auto" or "auto:START", which
    learns it, with bounds as "auto:START:LEAST:MOST"; or "loss:START:RATE", which follows the critic's loss (see
    `gio_pyro.schedules.temperature`)."""
    discount: float = 0.99
    """Discount factor γ in [0, 1)."""
    objective: str | None = None
    """Objective that model and guide are fitted with: elbo, joint_elbo, forward_kl, sleep, wake_sleep, trajectory_elbo
    or weighted_trajectory_elbo; or an ELBO of `pyro.infer` with its arguments, such as Trace_ELBO or
    "RenyiELBO(alpha=0.5, num_particles=4)", or file.py:Name; by default (None) the guide's own (its attribute
    `objective`), else sleep. In Python also an instance of an ELBO, or a function."""
    optim: str | None = None
    """Optimiser of model and guide, by default (None) Adam: an optimiser of torch or Pyro with its arguments, such as
    "SGD(lr=0.01, momentum=0.9)" or "ClippedAdam(lr=0.003)", or file.py:Name. Its `lr` is that of both programs. In
    Python also a class, a functools.partial of one, or an instance of `pyro.optim`."""
    training: str = "joint"
    """How model and guide are trained: "joint", one gradient step on both; "alternating", a step of the model, then a
    step of the guide, with an optimiser each; or "svi", only the ELBO with the action latent, as `pyro.infer.SVI`,
    which identifies the model up to a relabelling of the actions."""
    intrinsic: str = "imagined"
    """Futures that the guide is evaluated on: "imagined", drawn from the model for actions of the policy, or
    "replayed"."""
    signal: str | None = None
    """Second intrinsic reward, added to that of the guide: a name in `gio_pyro.signals`, such as
    RandomNetworkDistillation or "Empowerment(3)", or file.py:Name. The environment's reward then counts only where
    `reward_weight` is given."""
    signal_weight: float | str = 1.0
    """β, reward units per unit of the signal: a number, or "linear:FROM:TO:STEPS"."""
    reward_weight: float | None = None
    """Scale of the environment's own reward; by default (None) 1, or 0 with a signal, which then drives alone. 0
    without a signal is intrinsic control by itself: the reward is not counted, and α I(F; A | s) is all that the agent
    maximises."""
    signal_value: bool = False
    """Learn a separate value function of the signal, Q = Q_task + β Q_signal, instead of adding it to the reward."""
    signal_discount: float | None = None
    """Discount factor in [0, 1) of the signal's own value function; by default (None) `discount`."""
    dream_horizon: int = 0
    """Steps that the policy is rolled out in the model from replayed states, to learn from these too; 0 for none."""
    dream_share: float = 0.0
    """Share of rollout transitions in what the policy learns from, in (0, 1]: by weight in tables, by number in the
    batches of networks."""
    planner: str | None = None
    """Planning as inference: act by rollouts of the fitted model, as "PathIntegral(horizon=12, draws=256)",
    CrossEntropy or OneStep say, by its optimum, as BackwardInduction, LinearQuadratic or PointBased where they fit, or
    by file.py:Name (see `gio_pyro.planning`); by default (None) by the policy. The policy learns beside the planner,
    and so does the guide HabitGuide, its habit."""
    replanned: int = 0
    """Replayed states that are planned from anew in each update, for the habit of the guide HabitGuide: plans that were
    kept are of an older model."""
    explorer: str | None = None
    """Second policy that collects data in turn with the first: "Signal", "Goals(horizon=20)", "Skills(8)" or
    file.py:Name (see `gio_pyro.explorers`). Most seek the signal, with both weights; the first policy then maximises
    the environment's reward alone."""
    explorer_share: float = 0.5
    """Share of the environment steps, in [0, 1], that the explorer takes once the policy improves. A turn is an
    episode, or 200 steps of a longer one."""
    burn_in: int = 16
    """Transitions before a replayed one that its belief is computed from, and instants at the beginning of a piece of
    an episode that are not scored where the world model is fitted."""
    piece_length: int = 32
    """Transitions of a piece of an episode that the world model is fitted to."""
    pieces: int = 16
    """Pieces of episodes in a gradient step of the world model."""
    world_objective: str | None = None
    """Bound that a world model and its filter are fitted to: an ELBO of `pyro.infer` with its arguments, such as
    "Trace_ELBO(num_particles=4)", or TraceEnum_ELBO where the latent state is finite; by default (None) the library's
    own, which equals TraceMeanField_ELBO, or TraceEnum_ELBO where the latent state is finite, and is faster."""
    information_weight: float = 1.0
    """Weight, in units of the temperature, of the information gain of a world model in what the policy maximises; that
    of the bound is 1 (theory, section 6)."""
    consistency_weight: float = 1.0
    """Weight, in units of the temperature, of the state consistency, which is subtracted; that of the bound is 1."""
    marginal_draws: int = 16
    """Draws of the prior that estimate the marginal likelihood in the information gain, where it is not exact."""
    learning_rate: float = 1e-3
    """Adam's step size for policy, critic and temperature, and for programs without one of their own (attribute
    `learning_rate`)."""
    annealing: float | str = 1.0
    """Factor of the step sizes of policy, critic, temperature and programs, also of those that programs have of their
    own: a number, or "linear:FROM:TO:STEPS", as "linear:1:0:60000", with which all come to rest after 60,000
    environment steps."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer of policy and critic."""
    critic: str = "plain"
    """Hidden layers of the critic (networks): "plain"; "layer_norm", normalised before each ReLU, which tolerates
    faster targets; "batch_renorm", normalised over the batch, without targets (CrossQ); "residual", blocks with layer
    norm (SimBa), one for each entry of `hidden` (see `gio_pyro.actor_critic.twin_critic`)."""
    bounded_policy: bool = False
    """Keep a continuous policy where it can learn: means within ±3 before the squash, scales of at least exp(−3)."""
    learning_starts: int = 0
    """Environment steps before the policy first improves; until then actions are uniform and only the programs are
    fitted."""
    train_freq: int = 500
    """Environment steps between updates, at least one of each environment."""
    updates: int = 1
    """Updates after each collection. Each takes `gradient_steps` steps on the programs and `improvements` of the
    policy."""
    gradient_steps: int = 20
    """Gradient steps on model and guide in an update, and on signals and dreams beside them. 0 leaves the programs as
    they are; signals and dreams then take one step."""
    improvements: int = 3
    """Evaluations and improvements of the policy (theory, equations 5 and 6) in an update."""
    batch_size: int | None = None
    """Transitions in a gradient step; in finite worlds by default (None) the whole replay, with equal transitions
    merged."""
    buffer_size: int = 1_000_000
    """Transitions kept in replay, which grows as it fills. A size that would not fit in memory is warned of at once; if
    replay can grow no further, learning stops with an `InputError` and keeps what it has."""
    samples: int = 4
    """Futures sampled for each action where they cannot be enumerated."""
    sweeps: int = 200
    """Largest number of Bellman backups of the whole replay in one evaluation of a table."""
    target_rate: float = 0.005
    """Polyak coefficient τ: the fraction of the critic that goes into its target at every update (networks)."""
    uniform_share: float = 0.2
    """Share of collected actions that are uniform instead of the policy's; once the policy improves, they are drawn
    from the guide's method `explore` where it has one."""
    greedy: bool = False
    """Collect the policy's most probable action, with ties broken at random, instead of a sample (finitely many
    actions)."""
    initial_value: float | str | None = None
    """Value of untried state-action pairs in tables, in reward units; by default (None) an upper bound from the
    rewards seen (optimism); "neutral" is the policy's value of the actions tried in the same state."""
    target_entropy: float | None = None
    """Entropy in nats that an automatic temperature maintains; by default (None) that of the kind of action."""
    log_interval: int = 500
    """Environment steps between reports, at which metrics are logged, the callback is called, and every number is
    checked to be finite."""
    compile: bool | str = "auto"
    """Run the update of networks as one compiled graph: "auto", which captures it where that pays, has a helper process
    compile it and never waits; True, which waits for the compiler; or False: plain Python (`gio_pyro.nn.graphs`)."""
    seed: int = 0
    """Seed of the environment, the networks and every draw."""

    def annealed(self, step: int) -> float:
        """Return the factor of step sizes after `step` environment steps."""
        from gio_pyro.schedules.weights import weight_of

        return weight_of(self.annealing)(step)

    @classmethod
    def of(cls, given: dict[str, Any], *, states: "Space[Any]", actions: "Space[Any]") -> "Settings":
        """Return the default settings for these spaces, updated with those `given`, under either name of `ALIASES`.

        Raises:
            InputError: an unknown setting, one given under both of its names, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        given = under_own_names(given)
        for name in given:
            if name not in known:
                raise InputError(unknown("settings", name, [*known, *ALIASES], advice="see gio_pyro.Settings"))
        made = cls(**{**defaults(states, actions), **given})
        if made.greedy and not _discrete(actions):
            raise InputError(
                "Expected greedy collecting with finitely many actions, but these are continuous, and the most "
                "probable one has no density; leave greedy out."
            )
        return made

    def __post_init__(self) -> None:
        from gio_pyro.schedules.temperature import parse_temperature
        from gio_pyro.schedules.weights import weight_of
        from gio_pyro.utils.calls import fields_to_builtin

        fields_to_builtin(self)
        parse_temperature(self.temperature)
        _real("discount", self.discount, 0.0, 1.0 - 1e-9, "below 1, since an environment may never end")
        _real("learning_rate", self.learning_rate, 1e-12, 1e3, "Adam's step size")
        _real("uniform_share", self.uniform_share, 0.0, 1.0, "a share of the actions")
        _real("target_rate", self.target_rate, 1e-9, 1.0, "a share of the critic")
        units = {"initial_value": "reward units, neutral", "target_entropy": "nats", "reward_weight": "a scale"}
        for name, unit in units.items():
            value = getattr(self, name)
            neutral = name == "initial_value" and isinstance(value, str) and value == NEUTRAL
            if value is not None and not neutral:
                _real(name, value, -1e30, 1e30, f"{unit}, or None")
        if callable(self.signal_weight):
            raise InputError('Expected signal_weight to be a number or "linear:FROM:TO:STEPS", but got a function.')
        weight_of(self.signal_weight)
        _check_annealing(self.annealing)
        if self.signal is not None and not isinstance(self.signal, str):
            raise InputError(
                f"Expected signal to be a name or None, but got {shown(self.signal)}; see gio_pyro.signals."
            )
        if not isinstance(self.compile, bool) and self.compile != "auto":
            raise InputError(f"Expected compile to be auto, True or False, but got {shown(self.compile)}.")
        for name in ("greedy", "signal_value", "bounded_policy"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"Expected {name} to be True or False, but got {shown(getattr(self, name))}.")
        _check_explorer(self)
        _check_signal(self)
        _check_dreams(self)
        _whole("seed", self.seed, 0, 2**32 - 1)
        for name in ("train_freq", "updates", "buffer_size", "samples", "sweeps", "improvements", "log_interval"):
            _whole(name, getattr(self, name), 1, 2**40)
        _check_pieces(self)
        for name in ("gradient_steps", "learning_starts", "replanned"):
            _whole(name, getattr(self, name), 0, 2**40)
        if self.replanned and self.planner is None:
            raise InputError(
                f"Expected a planner beside replanned, but got {self.replanned} without one; name one, or set it to 0."
            )
        for units in _sequence("hidden", self.hidden):
            _whole("hidden", units, 1, 2**20)
        if self.batch_size is not None:
            _whole("batch_size", self.batch_size, 1, 2**40)
            if self.buffer_size < self.batch_size:
                raise InputError(
                    "Expected buffer_size of at least batch_size, or nothing is ever learned, but got "
                    f"{self.buffer_size} and {self.batch_size}; raise buffer_size or lower batch_size."
                )
        for name in ("objective", "optim", "planner", "world_objective"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), str):
                raise InputError(f"Expected {name} to be a name or None, but got {shown(getattr(self, name))}.")
        for name, known in (("training", TRAINING), ("intrinsic", INTRINSIC), ("critic", CRITICS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise InputError(
                    f"Expected {name} to be one of {', '.join(known)}, but got {shown(value)}; see gio_pyro.Settings."
                )
        if self.critic == "residual" and len(set(self.hidden)) != 1:
            raise InputError(
                f"Expected hidden to give every block of a residual critic the same width, but got {self.hidden}; "
                "give e.g. hidden=(128, 128) for two blocks."
            )

    @property
    def auxiliary_discounts(self) -> tuple[float, ...]:
        """Discount factor of each auxiliary value function."""
        own = self.discount if self.signal_discount is None else self.signal_discount
        return (own,) if self.signal_value else ()


INTRINSIC = ("imagined", "replayed")
CRITICS = ("plain", "layer_norm", "batch_renorm", "residual")
TRAINING = ("joint", "alternating", "svi")

ALIASES: Mapping[str, str] = MappingProxyType({"gamma": "discount", "tau": "target_rate"})
"""Stable-Baselines3's names of settings with another name here; both are accepted."""

NETWORK: Mapping[str, Any] = MappingProxyType(
    {
        "temperature": 0.05,
        "learning_starts": 1_000,
        "train_freq": 4,
        "gradient_steps": 1,
        "improvements": 1,
        "batch_size": 128,
        "target_rate": 0.05,
        "samples": 1,
        "uniform_share": 0.05,
    }
)
"""Defaults of networks with finitely many actions."""

CONTINUOUS: Mapping[str, Any] = MappingProxyType(
    {
        **NETWORK,
        "temperature": 0.2,
        "train_freq": 1,
        "batch_size": 256,
        "critic": "layer_norm",
        "bounded_policy": True,
        "uniform_share": 0.0,
    }
)
"""Defaults of networks with continuous actions."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Agent": (
            "objective", "training", "optim", "intrinsic", "samples", "temperature", "target_entropy", "discount",
            "reward_weight", "initial_value", "sweeps",
        ),
        "Networks": ("hidden", "critic", "bounded_policy", "learning_rate", "annealing", "target_rate", "compile"),
        "Collection": (
            "learning_starts", "train_freq", "updates", "gradient_steps", "improvements", "batch_size", "buffer_size",
            "uniform_share", "greedy",
        ),
        "World model": (
            "burn_in", "piece_length", "pieces", "world_objective", "information_weight",
            "consistency_weight", "marginal_draws",
        ),
        "Signal": ("signal", "signal_weight", "signal_value", "signal_discount"),
        "Explorer": ("explorer", "explorer_share"),
        "Planner": ("planner", "replanned"),
        "Dreams": ("dream_horizon", "dream_share"),
        "Run": ("seed", "log_interval"),
    }
)  # fmt: skip
"""Settings by topic, in the order in which the help of `gio train` lists them."""


def finite_world(states: "Space[Any]", actions: "Space[Any]") -> bool:
    """Return whether the agent uses tables: observations and actions are Discrete."""
    return _discrete(states) and _discrete(actions)


def _discrete(space: "Space[Any]") -> bool:
    from gymnasium.spaces import Discrete

    return isinstance(space, Discrete)


def defaults(states: "Space[Any]", actions: "Space[Any]") -> Mapping[str, Any]:
    """Return the defaults for these spaces that differ from those of finite worlds."""
    if finite_world(states, actions):
        return {}
    return NETWORK if _discrete(actions) else CONTINUOUS


def under_own_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with aliases resolved; raise `InputError` for a setting given under both names."""
    from gio_pyro.utils.checks import one_of_two

    for alias, name in ALIASES.items():
        one_of_two(name, given.get(name), alias, given.get(alias))
    return {ALIASES.get(name, name): value for name, value in given.items()}


def _check_annealing(given: float | str) -> None:
    from gio_pyro.schedules.weights import LinearSchedule, weight_of

    found = None if callable(given) else weight_of(given)
    if not isinstance(found, LinearSchedule) or min(found.first, found.last) < 0 or max(found.first, found.last) > 1e3:
        raise InputError(
            f'Expected annealing to be a factor from 0 to 1000, or "linear:FROM:TO:STEPS" between two, but got '
            f"{shown(given)}; 1 leaves step sizes as they are."
        )


def _check_pieces(s: Settings) -> None:
    _whole("burn_in", s.burn_in, 0, 100_000)
    _whole("pieces", s.pieces, 1, 2**20)
    _whole("marginal_draws", s.marginal_draws, 1, 2**20)
    for name in ("information_weight", "consistency_weight"):
        _real(name, getattr(s, name), -1e6, 1e6, "in units of the temperature")
    _whole("piece_length", s.piece_length, 1, 100_000)
    if s.piece_length <= s.burn_in:
        raise InputError(
            "Expected piece_length above burn_in, as a piece is scored after its burn-in, but got "
            f"{s.piece_length} and {s.burn_in}; lengthen the pieces, or shorten burn_in."
        )


def _check_explorer(s: Settings) -> None:
    _real("explorer_share", s.explorer_share, 0.0, 1.0, "a share of the steps")
    if s.explorer is None:
        if s.explorer_share != Settings.__dataclass_fields__["explorer_share"].default:
            raise InputError(
                f"Expected explorer_share only beside an explorer, but got {shown(s.explorer_share)} without one; name "
                'an explorer, e.g. explorer="Signal", or leave it out.'
            )
        return
    if not isinstance(s.explorer, str):
        raise InputError(
            f"Expected explorer to be a name or None, but got {shown(s.explorer)}; see gio_pyro.explorers."
        )
    if s.signal_value:
        raise InputError(
            f"Expected signal_value without an explorer, but got {shown(s.explorer)}: the signal is the explorer's; "
            "leave one of them out."
        )


def _check_signal(s: Settings) -> None:
    if s.signal is None and s.signal_weight != Settings.__dataclass_fields__["signal_weight"].default:
        raise InputError(
            f"Expected signal_weight only beside a signal, but got {shown(s.signal_weight)} without one; name a "
            'signal, e.g. signal="RandomNetworkDistillation", or leave it out.'
        )
    if s.signal_value and s.signal is None:
        raise InputError(
            "Expected signal_value only beside a signal, but got True without one; name a signal, "
            'e.g. signal="RandomNetworkDistillation", or leave it out.'
        )
    if s.signal_discount is None:
        return
    _real("signal_discount", s.signal_discount, 0.0, 1.0 - 1e-9, "below 1, or None for the discount")
    if not s.signal_value:
        raise InputError(
            "Expected signal_discount only where the signal has a value of its own, but got "
            f"{shown(s.signal_discount)} without it; set signal_value=True, or leave it out."
        )


def _check_dreams(s: Settings) -> None:
    _whole("dream_horizon", s.dream_horizon, 0, 10_000)
    _real("dream_share", s.dream_share, 0.0, 1.0, "a share of what an improvement reads")
    if bool(s.dream_horizon) != bool(s.dream_share):
        raise InputError(
            "Expected dream_horizon and dream_share together, both above 0 or both 0, but got "
            f"{s.dream_horizon} and {s.dream_share:.9g}; give both, such as 5 and 0.5."
        )


def _sequence(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, tuple) or not value:
        raise InputError(
            f"Expected {name} to be a tuple of whole numbers, but got {shown(value)}; see gio_pyro.Settings."
        )
    return value


def _real(name: str, value: object, low: float, high: float, meaning: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"Expected {name} from {low:.9g} to {high:.9g} ({meaning}), but got {shown(value)}; see gio_pyro.Settings."
        )


def _whole(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"Expected {name} to be a whole number from {low} to {high}, but got {shown(value)}; see gio_pyro.Settings."
        )
