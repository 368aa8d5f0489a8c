"""ELBOs of `pyro.infer` as objectives, and the pair of Pyro programs that they are evaluated on.

An objective of this library returns a scalar whose gradient the engine takes. An ELBO of Pyro takes gradients itself:
`loss_and_grads`, the function that `pyro.infer.SVI.step` calls, runs the pair and adds to `parameter.grad`. A
`PyroElbo` calls it and returns a scalar with these gradients, so any ELBO, a user's own included, is an objective.

Pyro's losses are sums over the batch; objectives are means.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import pyro
import pyro.infer
import torch
from pyro import poutine
from pyro.infer import ELBO, config_enumerate
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import effectful
from torch import Tensor, nn

from gio_pyro.errors import GioError, InputError, ProgramError, describe_error, out_of_memory
from gio_pyro.programs import Guide, Model, frozen_parameters, systematic
from gio_pyro.programs.latent_pair import LatentHandler, ValueOf, run_autoguide, run_latent_guide, unguided_finite
from gio_pyro.programs.sites import ACTION, FUTURE
from gio_pyro.types import Policy, Transitions
from gio_pyro.utils.checks import whole

UNSUPPORTED = ("ELBO", "Trace_MMD", "TraceTailAdaptive_ELBO")
"""The base class, a loss whose kernel is an object, and one that does not compute its loss."""
JIT = tuple(getattr(pyro.infer, name) for name in pyro.infer.__all__ if name.startswith("Jit"))
"""Those compiled by torch.jit, which take tensors only, and so no policy."""

PYRO_ELBOS: Mapping[str, type[ELBO]] = MappingProxyType(
    {
        name: kind
        for name in pyro.infer.__all__
        if isinstance(kind := getattr(pyro.infer, name), type) and issubclass(kind, ELBO)
        if name not in UNSUPPORTED and kind not in JIT
    }
)
"""The ELBOs of `pyro.infer` that can be taken, by name."""

SUMS = (pyro.infer.Trace_ELBO, pyro.infer.TraceGraph_ELBO, pyro.infer.TraceEnum_ELBO, pyro.infer.TraceMeanField_ELBO)
"""Losses that are sums over examples, so that `poutine.scale` weights the examples; others are given copies of rows."""
MAX_COPIES = 1024
"""Largest number of rows that weighted rows are copied to; more are resampled to this number."""

Run = Callable[..., Any]
"""A Pyro program as Pyro's ELBOs call it: `(policy, state, future)`."""


@dataclass(eq=False)
class PyroElbo:
    """An ELBO of `pyro.infer` as an objective: the mean over the batch of the bound that it estimates, nats.

    The model runs with "future" observed and "action" latent. Finite actions of the guide are enumerated in parallel
    for `TraceEnum_ELBO`, and sampled `samples` times in parallel, at least twice, for `TraceTMC_ELBO`, unless their
    sites say otherwise; the other ELBOs sample them and use the score function. `ReweightedWakeSleep` has two losses:
    that of the guide, and with `joint` their sum; it weights its particles over the whole batch, not per example.

    Args:
        elbo: the ELBO; a copy is kept, because it caches the number of nested plates.
        samples: actions sampled for each example for `TraceTMC_ELBO`.
        joint: whether the gradient also trains the model.
    """

    elbo: ELBO
    samples: int = 1
    joint: bool = False
    checked: set[bool] = field(default_factory=set, init=False)
    """Whether Pyro has checked the pair with the action latent (False) and with it observed (True)."""

    def __post_init__(self) -> None:
        _require_evaluable(self.elbo)
        self.elbo = copy.deepcopy(self.elbo)

    @property
    def name(self) -> str:
        """The class of the ELBO."""
        return type(self.elbo).__name__

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound; its gradient is the one of `loss_and_grads`, computed already."""
        self._require_gradient(guide, finite=not batch.action.is_floating_point())
        return self._mean(model, guide, policy, batch, future)

    def require(self, model: Model, guide: Guide, *, finite: bool) -> None:
        """Raise `InputError` for a pair that the ELBO cannot fit; `finite` says whether actions are."""
        self._require_guided(model)
        self._require_gradient(guide, finite=finite)

    def dynamics(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound on log p_ψ(F|s, a), "action" observed; its gradient trains the guides of latent sites.

        For a model without latent sites the bound is log p_ψ(F|s, a) itself.
        """
        found = self._mean(model, guide, policy, batch, future, observed=True)
        return found - batch.mean(policy(batch.state).log_prob(batch.action))

    def _mean(
        self,
        model: Model,
        guide: Guide,
        policy: Policy,
        batch: Transitions,
        future: Tensor,
        *,
        observed: bool = False,
    ) -> Tensor:
        """Return the mean bound; with the actions of the batch `observed`, its gradient trains the model, too."""
        self._require_guided(model)
        rows, future, weight = self._examples(model, batch, future)
        total = float(rows.weight.sum()) if weight is not None else len(rows)
        joint, action = self.joint or observed, rows.action if observed else None
        pair = pyro_pair(model, guide, action=action, configure=self._configure, weight=weight)
        trained = (model, guide) if joint else (guide,)
        parameters = [p for program in trained for p in program.parameters() if p.requires_grad]
        with nullcontext() if joint else frozen_parameters(model), self._errors(model, guide, observed=observed):
            self._count_plates(*pair, policy, rows.state, future)
            return mean_bound(self.elbo, parameters, total, *pair, policy, rows.state, future, joint=joint)

    def _require_guided(self, model: Model) -> None:
        """Raise `InputError` if a finite latent site has no guide and is not enumerated, or a guide has no density."""
        enumerates = isinstance(self.elbo, pyro.infer.TraceEnum_ELBO | pyro.infer.TraceTMC_ELBO)
        missing = () if model.latents is None or enumerates else unguided_finite(model.latents)
        if missing:
            raise InputError(
                f'Expected a guide of the latent site "{missing[0][:40]}" of {model.name} for {self.name}, which does '
                "not enumerate it, but none samples it; take TraceEnum_ELBO, or sample it in a guide."
            )

        sleeps = isinstance(self.elbo, pyro.infer.ReweightedWakeSleep) and self.elbo.insomnia < 1
        if sleeps and model.latents is not None and "autoguide" in model.latents.sources:
            raise InputError(
                f"Expected {self.name} without a sleep phase for {model.name}, since the density of an autoguide at "
                "weights drawn from the prior is not known; leave insomnia at 1, or take Trace_ELBO."
            )

    def _require_gradient(self, guide: Guide, *, finite: bool) -> None:
        """Raise `InputError` for an estimator that gives a guide of finite actions no gradient.

        The gradients of importance-weighted bounds are taken for reparameterised samples.
        """
        blind = isinstance(self.elbo, pyro.infer.TraceTMC_ELBO) or getattr(self.elbo, "alpha", None) == 0
        if blind and finite and any(p.requires_grad for p in guide.parameters()):
            raise InputError(
                f"Expected an ELBO with a gradient for guides of finite actions, but {self.name} has one only for "
                "reparameterised actions; take TraceEnum_ELBO, Trace_ELBO or RenyiELBO(alpha=0.5)."
            )

    def _configure(self, guide: Run) -> Run:
        """Return a guide whose sites are enumerated, or sampled several times, as the ELBO expects."""
        if isinstance(self.elbo, pyro.infer.TraceEnum_ELBO):
            return config_enumerate(guide, default="parallel")  # type: ignore[no-any-return]
        if isinstance(self.elbo, pyro.infer.TraceTMC_ELBO):
            return config_enumerate(guide, default="parallel", num_samples=max(self.samples, 2), tmc="mixture")  # type: ignore[no-any-return]
        return guide

    def _examples(self, model: Model, batch: Transitions, future: Tensor) -> tuple[Transitions, Tensor, Tensor | None]:
        """Return rows, their futures, and weights for `poutine.scale`, None if all rows count equally."""
        weight = batch.weight
        if bool((weight == weight[0]).all()):
            return batch, future, None
        # Pyro scales sites that it enumerates in the model by one number only
        enumerated = model.latents is not None and unguided_finite(model.latents)
        if type(self.elbo) in SUMS and not enumerated:
            return batch, future, weight
        index = copies(weight)
        rows = batch[index]
        return rows, future[index], None

    @contextmanager
    def _errors(self, model: Model, guide: Guide, *, observed: bool) -> Iterator[None]:
        """Let Pyro check the pair in the first evaluation, and raise its errors as `InputError`.

        With the action observed there may be nothing to enumerate, of which Pyro would warn.
        """
        first = observed not in self.checked
        checks = pyro.settings.context(validate_infer=True) if first else nullcontext()
        strict, self.elbo.strict_enumeration_warning = self.elbo.strict_enumeration_warning, not observed
        try:
            with checks:
                yield
        except GioError as error:
            if first and isinstance(error, ProgramError) and error.__cause__ is not None:
                raise self._unbroadcast(model, guide, error.__cause__) from error
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            raise InputError(
                f"Expected {self.name} to fit {model.name} and {guide.name}, but it raised "
                f"{describe_error(error, 150)}; take another objective."
            ) from error
        finally:
            self.elbo.strict_enumeration_warning = strict
        self.checked.add(observed)

    def _unbroadcast(self, model: Model, guide: Guide, error: BaseException) -> ProgramError:
        """Return the error of a program that runs on a batch, but raised inside the ELBO."""
        return ProgramError(
            f"Expected {model.name} and {guide.name} to take batch dimensions to the left for {self.name}, but one "
            f"raised {describe_error(error, 100)}; index from the right, or take Trace_ELBO without "
            "vectorize_particles."
        )

    def _count_plates(self, *run: Any) -> None:
        """Let the ELBO count nested plates, with random numbers of its own, so that resumed agents draw the same."""
        if self.elbo.max_plate_nesting == float("inf"):
            model, guide, *given = run
            with torch.random.fork_rng(), torch.no_grad(), _quiet(logging.getLogger("pyro.infer.elbo")):
                self.elbo._guess_max_plate_nesting(model, guide, given, {})


def mean_bound(elbo: ELBO, parameters: list[nn.Parameter], total: float, *run: Any, joint: bool = True) -> Tensor:
    """Return the bound that an ELBO estimates, a scalar with the gradients of its `loss_and_grads`.

    Args:
        elbo: the ELBO.
        parameters: those that get a gradient.
        total: the loss is divided by it.
        *run: model and guide, and their arguments.
        joint: of losses of model and guide whether both count, or that of the guide alone.
    """
    loss, gradients = _evaluated(elbo, parameters, joint, *run)
    device = parameters[0].device if parameters else torch.get_default_device()
    value = torch.full((), -loss / total, device=device)
    if not gradients:
        return value
    with torch.no_grad():
        scaled = torch._foreach_mul(gradients, -1.0 / total)
    found: Tensor = _WithGradients.apply(value, scaled, *parameters)  # type: ignore[no-untyped-call]
    return found


def _evaluated(elbo: Any, parameters: list[nn.Parameter], joint: bool, *run: Any) -> tuple[float, list[Tensor]]:
    """Return the loss, summed over the batch, and its gradients; none without parameters or where they are disabled."""
    if not parameters or not torch.is_grad_enabled():
        with torch.no_grad():
            return _sum(elbo.loss(*run), joint), []
    for parameter in parameters:
        parameter.grad = None
    loss = _sum(elbo.loss_and_grads(*run), joint)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    for parameter in parameters:
        parameter.grad = None
    return loss, gradients


def _require_evaluable(elbo: ELBO) -> None:
    """Raise `InputError` for an ELBO that computes no loss, or none of these programs."""
    if isinstance(elbo, pyro.infer.TraceTailAdaptive_ELBO):
        raise InputError(
            "Expected an ELBO that computes its loss, but TraceTailAdaptive_ELBO returns infinity; take another, e.g. "
            "RenyiELBO."
        )
    if isinstance(elbo, JIT):
        raise InputError(
            f"Expected an ELBO that takes any arguments, but {type(elbo).__name__} takes tensors only, and so no "
            f"policy; take {type(elbo).__name__.removeprefix('Jit')}."
        )
    for name in ("num_particles", "num_sleep_particles"):
        if hasattr(elbo, name):
            whole(f"{name} of {type(elbo).__name__}", getattr(elbo, name), 1)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Disable a logger inside the block."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


class _WithGradients(torch.autograd.Function):
    """A scalar with given gradients with respect to parameters."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        """Return the value."""
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        """Return the gradients times that of the scalar."""
        return (None, None, *torch._foreach_mul(ctx.gradients, outer[0]))


def pyro_pair(
    model: Model,
    guide: Guide,
    *,
    action: Tensor | None = None,
    weight: Tensor | None = None,
    configure: Callable[[Run], Run] = lambda guide: guide,
) -> tuple[Run, Run]:
    """Return model and guide as functions `(policy, state, future)` for an ELBO of Pyro or `pyro.infer.SVI`.

    Args:
        model: p_ψ.
        guide: q_φ; actions that the state forbids have probability 0.
        action: `[B, ...]`: "action" observed in the model; None for a latent action.
        weight: `[B]`: weights of the examples; None for 1.
        configure: applied to the guide, such as `pyro.infer.config_enumerate`, but for the autoguide of shared sites.
    """
    scale = partial(nullcontext) if weight is None else partial(poutine.scale, scale=weight)
    given: Run = model if action is None else poutine.condition(model, data={ACTION: action})
    inferred: Run = guide
    if action is not None:
        inferred = poutine.block(poutine.condition(guide, {ACTION: action}), hide=[ACTION])
    latents = model.latents

    def run_model(policy: Policy, state: Tensor, future: Tensor, observations: Any = None) -> Any:
        with nullcontext() if latents is None else LatentHandler(latents, _total(weight, state)), scale():
            return given(policy, state, future)

    def run_guide(policy: Policy, state: Tensor, future: Tensor, observations: Any = None) -> None:
        declare_parameters(name="parameters")
        # in the sleep phase of ReweightedWakeSleep futures are drawn from the model
        seen = observations[FUTURE] if observations else future
        if latents is None:
            with scale():
                run_configured(policy, state, seen)
            return
        with LatentHandler(latents, _total(weight, state)), scale():
            run_autoguide(latents, policy, state)
            run_configured(policy, state, seen)

    @configure
    def run_configured(policy: Policy, state: Tensor, seen: Tensor) -> None:
        with ValueOf(ACTION) as chosen, _allowed_actions(guide, state):
            inferred(policy, state, seen)
        if latents is not None:
            run_latent_guide(latents, policy, state, chosen.value if action is None else action, seen)

    return run_model, run_guide


def _sum(loss: Any, joint: bool) -> float:
    """Return the loss of what is trained as a number; `ReweightedWakeSleep` returns those of model and guide."""
    if isinstance(loss, tuple):
        return float(sum(map(float, loss if joint else loss[1:])))
    return float(loss)


def _total(weight: Tensor | None, state: Tensor) -> float:
    """Return the number of examples, each counted with its weight."""
    return float(len(state)) if weight is None else float(weight.sum())


def copies(weight: Tensor) -> Tensor:
    """Return indices `[N]` of rows with weights `[B]`: each as often as its weight, or resampled in proportion to it.

    Resampling is systematic, so each row is drawn as often as expected, to less than one copy.
    """
    total = float(weight.sum())
    if total <= MAX_COPIES and bool((weight == weight.round()).all()):
        return torch.arange(len(weight), device=weight.device).repeat_interleave(weight.long())
    return systematic(weight[None], MAX_COPIES)[0]


declare_parameters: Callable[..., Any] = effectful(lambda: None, type="param")
"""A parameter statement: Pyro's ELBOs take gradients only if a program has one."""


def _allowed_actions(guide: Guide, state: Tensor) -> Any:
    masked = guide.allowed is not None and guide.allowed(state) is not None
    return _Masked(guide, state) if masked else nullcontext()


class _Masked(Messenger):
    """Restricts the site "action" of a guide to the actions that the states allow."""

    def __init__(self, guide: Guide, state: Tensor) -> None:
        super().__init__()
        self.guide, self.state = guide, state

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == ACTION:
            msg["fn"] = self.guide.restricted(msg["fn"], self.state)
