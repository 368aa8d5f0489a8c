"""The contract of Pyro programs, and how the engine runs one in isolation.

A program is any callable, `nn.Module` or `PyroModule` with one of two signatures and two site names:

    model(policy, state, future=None)   samples "action" from policy(state), then "future" given state and action
    guide(policy, state, future)        samples "action" given state and future

The engine only *conditions* ("action" fixed to data), *replays* (runs forward) and *scores* (reads the log-probability
of a site, one number per example). `Program` implements these three. Each `Program` owns the parameters of its
callable: Pyro's process-wide parameter store and settings are swapped while it runs and restored afterwards, so that
agents in one process share no parameters and the user's own Pyro code is unaffected.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from numbers import Real
from types import MappingProxyType
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import NonlocalExit
from torch import Tensor, nn
from torch.distributions import Distribution

from gio_pyro.errors import GioError, ProgramError, describe_error, shown
from gio_pyro.programs.handlers import Record
from gio_pyro.programs.sites import is_plate, is_recorded, require_distribution, require_only
from gio_pyro.types import PyroProgram as Callable_
from gio_pyro.types import Transitions

OPTIONAL = MappingProxyType(
    {
        "observe": "state, action, future",
        "follow": "policy, state, weight",
        "explore": "state",
        "latent_guide": "state, action, future",
    }
)
"""Optional methods of a program, and their arguments."""


class Program(nn.Module):
    """A user's program with its parameters registered in this module, however they were declared.

    It stays in evaluation mode (`nn.Module.eval`), so that scores are deterministic with dropout and batch norms, too;
    `fitting` puts it into training mode while a loss is computed.

    Args:
        program: a callable, `nn.Module` or `PyroModule`; `pyro.param` statements of a plain callable
            become parameters of this module on the first run (`materialise`).

    Attributes:
        learning_rate: the step size that the program sets, or None.

    Raises:
        ProgramError: its `learning_rate` is not a positive number, or an optional method is not callable.
    """

    sites: tuple[str, ...] = ()
    """The sample sites that it has."""
    optional_sites: tuple[str, ...] = ()
    """Those of them that may be left out."""
    latent_names: frozenset[str] | None = None
    """Names of its latent sites; None before its first run."""

    _all_modules: list[nn.Module] | None
    _standard_train: bool

    def __init__(self, program: Callable_) -> None:
        super().__init__()
        _enable_local_parameters(program)
        self.program = program
        self.learning_rate = _step_size(self.name, getattr(program, "learning_rate", None))
        for name, arguments in OPTIONAL.items():
            method = getattr(program, name, None)
            if method is not None and not callable(method):
                raise ProgramError(
                    f"Expected {name} of {self.name} to be a method {name}({arguments}), but got {shown(method)}; "
                    "give it another name if it is something else."
                )
        self._local: list[PyroModule] = []
        self.add_local(program)
        self.stored = nn.ParameterDict()
        self.eval_all()
        self._store: dict[str, dict[str, Any]] = {"params": {}, "constraints": {}}

    def add_local(self, program: Callable_) -> None:
        """Keep the parameters of every `PyroModule` in a program in that module while this one runs."""
        self._local += [module for module in _submodules(program) if isinstance(module, PyroModule)]

    @property
    def name(self) -> str:
        """The program's own name, for messages."""
        return getattr(self.program, "__name__", type(self.program).__name__)

    @torch.no_grad()
    def observe(self, state: Tensor, action: Tensor, future: Tensor, weight: Tensor | None = None) -> None:
        """Pass new data to the program's `observe(state, action, future)`, if it has one, to update its statistics.

        Args:
            state: `[B, ...]`.
            action: `[B, ...]`.
            future: `[B, ...]`.
            weight: `[B]` weights, if they are not all 1; passed to an `observe` that has an argument `weight`.
        """
        observe = getattr(self.program, "observe", None)
        if observe is None:
            return
        more = {"weight": weight} if weight is not None and _accepts(observe, "weight") else {}
        try:
            observe(state, action, future, **more)
        except GioError:
            raise
        except Exception as error:
            raise ProgramError(
                f"Expected {self.name} to observe (state, action, future), but it raised "
                f"{describe_error(error, 150)}; correct its method observe."
            ) from error

    @torch.no_grad()
    def observed(self, rows: Transitions) -> None:
        """Pass new transitions to the program's `observe(rows)`, if it has one, to update its statistics."""
        if getattr(self.program, "observe", None) is not None:
            self.call("observe", rows)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program with its own parameters; raises `ProgramError` for any exception in it."""
        return self.isolated(self.program, *args, **kwargs)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the program with its own parameters; raises `ProgramError` for any exception in it."""
        return self.isolated(getattr(self.program, method), *args, **kwargs)

    def isolated(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function with the program's own parameters; raises `ProgramError` for any exception in it."""
        with self._isolated():
            try:
                return function(*args, **kwargs)
            except _SiteReached as stop:
                reached = stop  # raised below, after new parameters are registered
            except (GioError, NonlocalExit):
                raise
            except (Exception, SystemExit) as error:
                raise ProgramError(
                    f"Expected {self.name} to run, but it raised {describe_error(error, 150)}; try "
                    "gio_pyro.testing on it."
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
            self._register(name)
        self._require_registered()

    def _register(self, name: str) -> None:
        """Register a `pyro.param` created by the run as a parameter of this module, unless it is one already."""
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

    def _require_registered(self) -> None:
        """Raise `ProgramError` if a PyroModule created a `pyro.param` in forward, which would not be trained."""
        for module in self._local:
            created = module._pyro_context.param_state["params"]
            for name, tensor in created.items():
                if not any(tensor is own for own in self.parameters()):
                    raise ProgramError(
                        f'Expected {self.name} to declare its parameters, but its forward calls pyro.param("{name}"); '
                        "make it an nn.Parameter or PyroParam in __init__."
                    )

    def materialise(self, *args: Any) -> dict[str, dict[str, Any]]:
        """Run the whole program once, so that every parameter exists; return its sample sites."""
        record = Record()
        with poutine.block(), record:
            self(*args)
        self.eval_all()
        return record.sites

    def eval_all(self) -> None:
        """Put every module into evaluation mode, including those that a run has created."""
        self._all_modules = None
        self.eval()

    def train(self, mode: bool = True) -> "Program":
        """Set the mode of every module, as `nn.Module.train` does, but faster: it is called at every gradient step."""
        if self._all_modules is None:
            self._all_modules = list(self.modules())
            self._standard_train = all(
                type(module).train in (nn.Module.train, Program.train) for module in self._all_modules
            )
        if not self._standard_train:  # some module overrides train, e.g. to freeze its batch norms
            return super().train(mode)
        for module in self._all_modules:
            vars(module)["training"] = mode
        return self

    def _check_batch(self, state: Tensor, **others: Tensor) -> None:
        """Raise `ProgramError` if a tensor would silently broadcast over the batch."""
        for name, tensor in others.items():
            if tensor.ndim == 0 or len(tensor) != len(state):
                raise ProgramError(
                    f"Expected one {name} for each of {len(state)} states given to {self.name}, but got shape "
                    f"{tuple(tensor.shape)}; give it the batch of the states."
                )

    def site(
        self, name: str, *args: Any, data: dict[str, Tensor] | None = None, handlers: Sequence[Messenger] = ()
    ) -> Distribution:
        """Run the program up to one site, conditioned on `data`, and return that site's distribution.

        Nothing is sampled at the site itself, and outer handlers do not see the run; `handlers` do.

        Raises:
            ProgramError: the program ended without sampling the site, or has a site that is not allowed.
        """
        until = _StopAtSite(name, self)
        with poutine.block():
            try:
                with until, ExitStack() as stack:
                    for handler in handlers:
                        stack.enter_context(handler)
                    poutine.condition(self, data or {})(*args)
            except _SiteReached as reached:
                return reached.distribution
        found = ", ".join(f'"{node["name"]}"' for node in until.seen) or "no sites"
        raise ProgramError(f'Expected {self.name} to sample the site "{name}", but it has {found}; add pyro.sample.')


def _accepts(method: Any, name: str) -> bool:
    """Return whether a method accepts an argument of this name."""
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


def _enable_local_parameters(program: Callable_) -> None:
    """Create the store of module-local parameters in PyroModules that were built outside this library."""
    for module in _submodules(program):
        if isinstance(module, PyroModule):
            vars(module._pyro_context).setdefault("param_state", {"params": {}, "constraints": {}})


def _submodules(program: Callable_) -> Iterator[nn.Module]:
    yield from program.modules() if isinstance(program, nn.Module) else ()


class _SiteReached(Exception):  # noqa: N818 (not an error: how a run ends early)
    """Ends a run at a site; carries its distribution."""

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution


class _StopAtSite(Messenger):
    """Ends a run at the first statement of a given name; raises `ProgramError` if unexpected sites came before."""

    def __init__(self, name: str, program: Program) -> None:
        super().__init__()
        self.name, self.program = name, program
        self.seen: list[dict[str, Any]] = []

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == self.name:
            require_only(self.program.name, self.seen, self.program.sites, self.program.latent_names)
            require_distribution(self.program.name, msg)
            raise _SiteReached(msg["fn"])
        if not is_plate(msg) and not is_recorded(msg):
            self.seen.append(msg)
