"""The contract: what a model and a guide are, and how the engine runs one without touching anybody else.

A program is any callable, `nn.Module` or `PyroModule` with one of two signatures and two site names:

    model(policy, state, future=None)   samples "action" from policy(state), then "future" given state and action
    guide(policy, state, future)        samples "action" given state and future

The engine only ever *conditions* ("action" held at data), *replays* (runs forward) and *scores* (reads the
log-probability of a site, one number per example). `Program` does these three. Each `Program` keeps the parameters
of its callable to itself: Pyro's process-wide parameter store and settings are swapped while it runs and put back
after, so two agents in one process never meet and the user's own Pyro code never notices.
"""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from numbers import Real
from types import MappingProxyType
from typing import Any

import pyro
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from pyro import poutine
from pyro.distributions import Categorical
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.nn import PyroModule
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import NonlocalExit
from torch import Tensor, nn
from torch.distributions import Distribution

from gio_pyro.distributions.masks import Allowed, restricted
from gio_pyro.errors import GioError, InputError, ProgramError, describe_error, shown
from gio_pyro.programs.sites import ACTION, FUTURE, is_plate, is_recorded, require_drawn, require_known
from gio_pyro.types import Policy, Transitions
from gio_pyro.types import PyroProgram as Callable_

OPTIONAL = MappingProxyType({"observe": "state, action, future", "follow": "policy, state, weight", "explore": "state"})
"""Methods that a program may have besides its call, and their arguments."""


class Program(nn.Module):
    """A user's program, isolated: its parameters are this module's, whichever way they were declared.

    It rests in evaluation mode (`nn.Module.eval`), so that whatever reads it, dropout and batch norms included, reads
    the same of an example every time; `fitting` puts it into training mode for a loss.

    Args:
        program: a callable, `nn.Module` or `PyroModule`; `pyro.param` statements of a plain callable are found on
            the first run (`materialise`) and become parameters of this module.

    Attributes:
        learning_rate: the step size that the program asks for, or None.

    Raises:
        ProgramError: its `learning_rate` is no step size, or its `observe` no method.
    """

    sites: tuple[str, ...] = ()
    """The sample sites that it has."""

    _all: list[nn.Module] | None
    _alike: bool

    def __init__(self, program: Callable_) -> None:
        super().__init__()
        _localise(program)
        self.program = program
        self.learning_rate = _step_size(self.name, getattr(program, "learning_rate", None))
        for name, arguments in OPTIONAL.items():
            method = getattr(program, name, None)
            if method is not None and not callable(method):
                raise ProgramError(
                    f"Expected {name} of {self.name} to be a method {name}({arguments}), but got {shown(method)}; "
                    "give it another name if it is something else."
                )
        self._local = [module for module in _modules(program) if isinstance(module, PyroModule)]
        self.stored = nn.ParameterDict()
        self.rest()
        self._store: dict[str, dict[str, Any]] = {"params": {}, "constraints": {}}

    @property
    def name(self) -> str:
        """The program's own name, for messages."""
        return getattr(self.program, "__name__", type(self.program).__name__)

    @torch.no_grad()
    def observe(self, state: Tensor, action: Tensor, future: Tensor, weight: Tensor | None = None) -> None:
        """Hand new data to the program's own `observe(state, action, future)`, if it has one, for its statistics.

        Args:
            state: `[B, ...]`.
            action: `[B, ...]`.
            future: `[B, ...]`.
            weight: `[B]` how much each counts, where they do not count the same; handed on by its name to a program
                whose `observe` has that argument.
        """
        observe = getattr(self.program, "observe", None)
        if observe is None:
            return
        more = {"weight": weight} if weight is not None and _takes(observe, "weight") else {}
        try:
            observe(state, action, future, **more)
        except GioError:
            raise
        except Exception as error:
            raise ProgramError(
                f"Expected {self.name} to observe (state, action, future), but it raised "
                f"{describe_error(error, 150)}; correct "
                "its method observe."
            ) from error

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program with its own parameters; what it raises becomes a `ProgramError`."""
        return self._own("__call__", *args, **kwargs)

    def _own(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Run a method of the program with the program's own parameters."""
        with self._isolated():
            try:
                return getattr(self.program, method)(*args, **kwargs)
            except _Reached as stop:
                reached = stop  # raised again below, once the parameters made on the way are safe
            except (GioError, NonlocalExit):
                raise
            except (Exception, SystemExit) as error:
                raise ProgramError(
                    f"Expected {self.name} to run, but it raised {describe_error(error, 150)}; try "
                    f"gio_pyro.testing on it."
                ) from error
        raise reached

    @contextmanager
    def _isolated(self) -> Iterator[None]:
        known = set(self._store["params"])
        with (
            pyro.settings.context(module_local_params=True) if self._local else nullcontext(),
            pyro.get_param_store().scope(self._store),  # type: ignore[arg-type]
        ):
            yield
        for name in self._store["params"].keys() - known:
            self._adopt(name)
        self._refuse_hidden()

    def _adopt(self, name: str) -> None:
        """Make a `pyro.param` created by the run a parameter of this module, unless it is one already."""
        tensor = self._store["params"][name]
        if any(tensor is own for own in self.parameters()):
            return
        if isinstance(tensor, nn.Parameter):
            raise ProgramError(
                f"Expected {self.name} to own its parameters, but it calls pyro.module on a network that others could "
                "share; make the program an nn.Module that holds the network."
            )
        parameter = nn.Parameter(tensor.detach())
        self._store["params"][name] = parameter
        self.stored["p_" + name.replace("_", "__").replace(".", "_d")] = parameter

    def _refuse_hidden(self) -> None:
        """Raise `ProgramError` if a PyroModule made a `pyro.param`, which Pyro would keep where nobody trains it."""
        for module in self._local:
            made = module._pyro_context.param_state["params"]
            for name, tensor in made.items():
                if not any(tensor is own for own in self.parameters()):
                    raise ProgramError(
                        f'Expected {self.name} to declare its parameters, but its forward calls pyro.param("{name}"); '
                        "make it an nn.Parameter or PyroParam in __init__."
                    )

    def materialise(self, *args: Any) -> None:
        """Run the whole program once, so that every parameter exists."""
        with poutine.block():
            self(*args)
        self.rest()

    def rest(self) -> None:
        """Put every module into evaluation mode, also those that a run has made."""
        self._all = None
        self.eval()

    def train(self, mode: bool = True) -> "Program":
        """Set the mode of every module, as `nn.Module.train` does; quick, as it happens at every gradient step."""
        if self._all is None:
            self._all = list(self.modules())
            self._alike = all(type(module).train in (nn.Module.train, Program.train) for module in self._all)
        if not self._alike:  # a module with a mind of its own, such as one whose batch norms stay as they are
            return super().train(mode)
        for module in self._all:
            vars(module)["training"] = mode
        return self

    def _check_batch(self, state: Tensor, **others: Tensor) -> None:
        """Raise `ProgramError` where a tensor would be broadcast over the batch in silence."""
        for name, tensor in others.items():
            if tensor.ndim == 0 or len(tensor) != len(state):
                raise ProgramError(
                    f"Expected one {name} for each of {len(state)} states given to {self.name}, but got shape "
                    f"{tuple(tensor.shape)}; give it the batch of the states."
                )

    def site(self, name: str, *args: Any, data: dict[str, Tensor] | None = None) -> Distribution:
        """Run the program up to one site, with those in `data` held fixed, and return that site's distribution.

        Nothing is drawn at the site itself and outer handlers see nothing of the run.

        Raises:
            ProgramError: the program ended without sampling the site, or has one that it may not have.
        """
        until = _Until(name, self)
        with poutine.block():
            try:
                with until:
                    poutine.condition(self, data or {})(*args)
            except _Reached as reached:
                return reached.distribution
        found = ", ".join(f'"{node["name"]}"' for node in until.seen) or "no sites"
        raise ProgramError(f'Expected {self.name} to sample the site "{name}", but it has {found}; add pyro.sample.')


def _takes(method: Any, name: str) -> bool:
    """Return whether a method has an argument of this name."""
    try:
        return name in inspect.signature(method).parameters
    except (TypeError, ValueError):
        return False


def _step_size(name: str, given: object) -> float | None:
    if given is None:
        return None
    size = float(given) if isinstance(given, Real) and not isinstance(given, bool) else math.nan
    if not 0 < size < math.inf:
        raise ProgramError(
            f"Expected learning_rate of {name} to be a number above 0, Adam's step size, but got {shown(given)}; leave "
            "it out to take the agent's."
        )
    return size


def _localise(program: Callable_) -> None:
    """Give a PyroModule that was built before it came here the place where Pyro keeps module-local parameters."""
    for module in _modules(program):
        if isinstance(module, PyroModule):
            vars(module._pyro_context).setdefault("param_state", {"params": {}, "constraints": {}})


def _modules(program: Callable_) -> Iterator[nn.Module]:
    yield from program.modules() if isinstance(program, nn.Module) else ()


class _Reached(Exception):  # noqa: N818 (not an error: how a run ends early)
    """Carries the distribution of the site that a run was meant to reach."""

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution


class _Until(Messenger):
    """Ends a run at the first sample statement of a given name; raises `ProgramError` there if others came before."""

    def __init__(self, name: str, program: Program) -> None:
        super().__init__()
        self.name, self.program = name, program
        self.seen: list[dict[str, Any]] = []

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == self.name:
            require_known(self.program.name, self.seen, self.program.sites)
            require_drawn(self.program.name, msg)
            raise _Reached(msg["fn"])
        if not is_plate(msg) and not is_recorded(msg):
            self.seen.append(msg)


class Model(Program):
    """A model p_ψ, read as a conditional distribution of futures."""

    sites = (ACTION, FUTURE)

    @property
    def ignores_action(self) -> bool:
        """Whether the program declares, by its attribute `ignores_action`, that p_ψ does not depend on a."""
        return bool(getattr(self.program, "ignores_action", False))

    def future(self, policy: Policy, state: Tensor, action: Tensor) -> Distribution:
        """Return p_ψ(·|s, a), a batch of B distributions; `state` and `action` are `[B, ...]`."""
        return self.site(FUTURE, policy, state, data={ACTION: action})

    def log_prob(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return log p_ψ(F|s, a) of each example, `[B]` nats."""
        self._check_batch(state, action=action, future=future)
        distribution = self.site(FUTURE, policy, state, future, data={ACTION: action})
        return per_example(distribution, future, len(state), self.name)

    def evidence(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return what the model is fitted by, `[B]` nats: its own lower bound on log p_ψ(F|s, a), if it has one.

        A program whose parameters are distributed, or split between members, says so by a method
        `evidence(state, action, future) -> [B]`; for any other it is log p_ψ(F|s, a) itself.
        """
        if not hasattr(self.program, "evidence"):
            return self.log_prob(policy, state, action, future)
        self._check_batch(state, action=action, future=future)
        return self._numbers("evidence", state, action, future)

    def beliefs(self, state: Tensor, action: Tensor) -> Distribution:
        """Return what each of K members, or draws of what the model has learned, predicts: batch shape `[K, B]`.

        A program says so by a method `beliefs(state, action)`; that they disagree is what the model does not know.

        Raises:
            InputError: the program has no such method.
            ProgramError: what it returns is no K times B distributions.
        """
        self._require("beliefs", "(state, action)", "EnsembleModel, BayesianModel or DirichletModel")
        self._check_batch(state, action=action)
        found: Any = self._own("beliefs", state, action)
        shape = tuple(getattr(found, "batch_shape", ()))
        if len(shape) != 2 or shape[-1] != len(state):
            raise ProgramError(
                f"Expected beliefs of {self.name} to have batch shape [K, {len(state)}], but got "
                f"{list(shape) or type(found).__name__}; return one distribution for each member and example."
            )
        distribution: Distribution = found
        return distribution

    def information_gain(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return how far the posterior over what the model learns would move if it observed each example, `[B]` nats.

        A program says so by a method `information_gain(state, action, future) -> [B]`: KL(q_new ‖ q_old) for each
        example on its own, the model as it stands.

        Raises:
            InputError: the program has no such method.
            ProgramError: it does not return one number for each example.
        """
        self._require("information_gain", "(state, action, future)", "BayesianModel or DirichletModel")
        self._check_batch(state, action=action, future=future)
        return self._numbers("information_gain", state, action, future)

    def _numbers(self, method: str, state: Tensor, *others: Tensor) -> Tensor:
        """Run a method of the program that returns `[B]`."""
        found = self._own(method, state, *others)
        if not isinstance(found, Tensor) or found.shape != (len(state),):
            got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise ProgramError(
                f"Expected {method} of {self.name} to return one number for each of {len(state)} examples, but got "
                f"{got}; do not sum over the batch."
            )
        return found

    def _require(self, method: str, signature: str, those: str) -> None:
        if not callable(getattr(self.program, method, None)):
            raise InputError(
                f"Expected a model that knows what it does not know, such as {those}, but got {self.name}; take one of "
                f"these, or give yours a method {method}{signature}."
            )


class Guide(Program):
    """A guide q_φ, read as a conditional distribution of actions; over those that the state allows.

    Attributes:
        allowed: which actions states allow; None for all.
    """

    sites = (ACTION,)
    allowed: Allowed | None = None

    @property
    def ignores_future(self) -> bool:
        """Whether the program declares, by its attribute `ignores_future`, that q_φ does not depend on F."""
        return bool(getattr(self.program, "ignores_future", False))

    def posterior(self, policy: Policy, state: Tensor, future: Tensor) -> Distribution:
        """Return q_φ(·|s, F), a batch of B distributions; `state` and `future` are `[B, ...]`."""
        found: Distribution = self._over_allowed(self.site(ACTION, policy, state, future), state)
        return found

    def _over_allowed(self, found: Any, state: Tensor) -> Any:
        allowed = None if self.allowed is None else self.allowed(state)
        return found if allowed is None else Categorical(logits=restricted(log_probs(found, self.name), allowed))

    def log_prob(self, policy: Policy, state: Tensor, future: Tensor, action: Tensor) -> Tensor:
        """Return log q_φ(a|s, F) of each example, `[B]` nats."""
        self._check_batch(state, future=future, action=action)
        return per_example(self.posterior(policy, state, future), action, len(state), self.name)

    @torch.no_grad()
    def follow(self, policy: Policy, batch: Transitions) -> None:
        """Hand the improved policy to the program's own `follow(policy, state, weight)`, if it has one.

        That is how a guide learns by an update of its own instead of a gradient: `state` `[M, ...]` are visited states
        and `weight` `[M]` says how much each counts.
        """
        if getattr(self.program, "follow", None) is not None:
            self._own("follow", policy, *batch.distinct_states())

    @property
    def explorer(self) -> Policy | None:
        """What the guide offers to explore with: its own `explore(state)`, a batch of distributions over actions."""
        return self._explored if getattr(self.program, "explore", None) is not None else None

    def _explored(self, state: Tensor) -> TorchDistributionMixin:
        found: TorchDistributionMixin = self._over_allowed(self._own("explore", state), state)
        return found


@contextmanager
def without_validation() -> Iterator[None]:
    """Switch off Pyro's and torch's checks of every value inside the block, and put each back as it was."""
    flags = ("distributions_pyro", "distributions_torch", "infer", "poutine")
    with pyro.settings.context(**{f"validate_{flag}": False for flag in flags}):
        yield


@contextmanager
def fitting(program: Program) -> Iterator[None]:
    """Put a program into training mode inside the block, and back into evaluation mode after it."""
    program.train()
    try:
        yield
    finally:
        program.eval()


def require_fits(name: str, site: str, distribution: Distribution, space: Space[Any]) -> None:
    """Raise `ProgramError` unless a site is a batch of distributions over the values of a Discrete or Box space."""
    if isinstance(space, Discrete):
        _require_integers(name, site, distribution, int(space.n))
    elif tuple(distribution.event_shape) != space.shape or distribution.has_enumerate_support:
        raise ProgramError(
            f'Expected the site "{site}" of {name} to range over tensors of shape {space.shape}, but got a '
            f"{type(distribution).__name__} with event shape {tuple(distribution.event_shape)}; see pyro's to_event."
        )


def _require_integers(name: str, site: str, distribution: Distribution, count: int) -> None:
    values = distribution.enumerate_support(expand=False) if distribution.has_enumerate_support else torch.empty(0)
    expected = torch.arange(count, device=values.device)
    if distribution.event_shape or values.shape[:1] != expected.shape or not torch.equal(values.flatten(), expected):
        raise ProgramError(
            f'Expected the site "{site}" of {name} to range over the integers 0 to {count - 1}, but got a '
            f"{type(distribution).__name__} of another support; give it one probability for each."
        )


def require_visible(program: Program, score: Tensor) -> None:
    """Raise `ProgramError` if a score depends on parameters that nobody would train."""
    own = {id(p) for p in program.parameters()}
    seen, waiting = set(), [score.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in own:
            raise ProgramError(
                f"Expected the parameters of {program.name} to be seen, but it uses a tensor of shape "
                f"{tuple(leaf.shape)} from outside; make the program an nn.Module that holds it."
            )
        waiting.extend(parent for parent, _ in node.next_functions)


def per_example(distribution: Distribution, value: Tensor, batch: int, name: str) -> Tensor:
    """Return log-probabilities `[B]`; raises `ProgramError` where a shape would broadcast silently."""
    try:
        log_prob = distribution.log_prob(value)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ProgramError(
            f"Expected {name} to score values of shape {tuple(value.shape)}, but it raised "
            f"{describe_error(error, 120)}; look "
            "for a value outside the space, or another shape."
        ) from error
    if log_prob.shape != (batch,):
        raise ProgramError(
            f"Expected one log-probability for each of {batch} examples from {name}, but got shape "
            f"{tuple(log_prob.shape)}; give the site batch shape [B] (see pyro's to_event)."
        )
    if value.shape[1:] != distribution.event_shape:
        raise ProgramError(
            f"Expected values of shape {(batch, *distribution.event_shape)} for {name} to score, but got "
            f"{tuple(value.shape)}, which would be broadcast; reshape them."
        )
    return log_prob


def all_actions(distribution: Distribution, name: str) -> Tensor:
    """Return the values that a distribution over finitely many actions can take, `[A]`."""
    if not distribution.has_enumerate_support:
        raise ProgramError(f"Expected {name} to give actions that can be enumerated, but got {distribution}.")
    return distribution.enumerate_support(expand=False).flatten()


def log_probs(distribution: Distribution, name: str = "the policy") -> Tensor:
    """Return the log-probabilities of all actions, `[B, A]` nats."""
    values = all_actions(distribution, name)
    return distribution.log_prob(values.unsqueeze(-1)).T


def detached(policy: Policy) -> Policy:
    """Return the same policy without gradients to its parameters; asked about one batch again, it remembers."""
    last: list[tuple[Tensor, TorchDistributionMixin]] = []

    def remembering(state: Tensor) -> TorchDistributionMixin:
        if not last or last[0][0] is not state:
            with torch.no_grad():
                last[:] = [(state, policy(state))]
        return last[0][1]

    return remembering


@contextmanager
def frozen(program: Program) -> Iterator[None]:
    """Keep gradients from reaching a program's parameters inside the block; they still pass through its inputs."""
    wanted = [p for p in program.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
