"""Requirements on programs: each function checks one and raises a `ProgramError` that says how to meet it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from pyro.distributions import MaskedDistribution
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from gio_pyro.errors import ProgramError
from gio_pyro.programs.check_batch import BATCH, Inputs
from gio_pyro.programs.marginal import is_branching
from gio_pyro.programs.program import Program
from gio_pyro.types import Spec


def require_batch(program: Program, node: Mapping[str, Any], site: str, space: Space[Any] | None) -> None:
    """Raise `ProgramError` unless a site has one distribution for each example, over a space if given, and no NaN."""
    at = f'the site "{site}" of {program.name}'
    shape = tuple(node["fn"].batch_shape)
    if shape != (BATCH,):
        hint = (
            "the program is not vectorised, so give each example in pyro.plate its own distribution"
            if shape in ((), (1,))
            else "declare event dimensions with to_event"
        )
        raise ProgramError(
            f"Expected {at} to have batch shape ({BATCH},) for {BATCH} examples, but got {shape}; {hint}."
        )
    if space is not None:
        require_fits(program.name, site, node["fn"], space)
    _require_unscaled(at, node)
    _require_normalised(at, node["fn"])
    if bool(torch.isnan(node["fn"].log_prob(node["value"])).any()):
        raise ProgramError(f"Expected log-probabilities at {at}, but got NaN; look for log 0 or 0/0.")


def _require_unscaled(at: str, node: Mapping[str, Any]) -> None:
    """Raise `ProgramError` if a handler scales or masks the site, beyond the scale of its plates."""
    plates = 1.0
    for plate in node["cond_indep_stack"]:
        plates *= (plate.full_size or plate.size) / plate.size
    scale = torch.as_tensor(node["scale"])
    for handler, active in (
        ("poutine.scale", not bool(torch.isclose(scale, torch.tensor(plates).to(scale)).all())),
        ("poutine.mask", node["mask"] is not None and node["mask"] is not True),
    ):
        if active:
            raise ProgramError(
                f"Expected {at} to be scored by its own density, but it is inside {handler}, which is ignored; "
                "remove the handler."
            )


def _require_normalised(at: str, distribution: Distribution) -> None:
    """Raise `ProgramError` for a masked distribution, or probabilities that do not sum to 1."""
    inner = distribution
    while isinstance(inner, Independent):
        inner = inner.base_dist
    if isinstance(inner, MaskedDistribution):
        raise ProgramError(
            f"Expected {at} to have a density for every example, but got a masked distribution, which gives some 0 "
            "nats; take mask away."
        )
    if not distribution.has_enumerate_support:
        return
    total = distribution.log_prob(distribution.enumerate_support(expand=False)).logsumexp(0)
    wrong = total[(total.abs() > 1e-3) & ~total.isnan()]
    if len(wrong):
        raise ProgramError(
            f"Expected probabilities at {at} to add up to 1, but they add up to {float(wrong[0].exp()):.4g}; "
            "normalise them."
        )


def require_unchanged(program: Program, batch: Inputs) -> None:
    """Raise `ProgramError` if a program has modified its inputs in place."""
    if (name := batch.overwritten()) is not None:
        raise ProgramError(
            f"Expected {program.name} to leave its inputs unchanged, but it modifies {name} in place; work on a copy."
        )


def require_repeatable(program: Program, read: Callable[[], Tensor]) -> Tensor:
    """Return the scores `[B]`; raises `ProgramError` unless a second call returns the same and no buffer changes."""
    before = {name: buffer.clone() for name, buffer in program.named_buffers()}
    first, second = read(), read()
    if not torch.allclose(first.detach(), second.detach(), rtol=1e-5, atol=1e-6, equal_nan=True):
        raise ProgramError(
            f"Expected {program.name} to score an example the same every time, but two scores of one batch differ; "
            "draw no random numbers and update no buffers to score; apply dropout only while self.training is True."
        )
    for name, buffer in program.named_buffers():
        if name not in before or not torch.equal(buffer, before[name]):
            raise ProgramError(
                f"Expected scoring to leave {program.name} unchanged, but its buffer "
                f"{name.removeprefix('program.')[:60]} changes; update it in the method observe, or only while "
                "self.training is True."
            )
    return first


def require_vectorised(program: Program, score: Callable[[Tensor], Tensor], whole: Tensor, site: str) -> None:
    """Raise `ProgramError` unless examples score the same in a subset of the batch as in the whole, `[BATCH]`."""
    for rows in (torch.tensor([BATCH - 2, 0, BATCH - 1]), torch.tensor([BATCH - 1])):
        alone, together = score(rows.to(whole.device)).detach(), whole[rows.to(whole.device)].detach()
        differs = (alone - together).abs() > 1e-4 * alone.abs().clamp_min(1.0)
        if bool(differs.any()):
            norms = [m for m in program.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
            fixed = all(norm.track_running_stats for norm in norms)
            hint = "examples must not mix" if fixed else "a batch norm needs track_running_stats=True"
            raise ProgramError(
                f'Expected an example to score the same alone and in a batch at the site "{site}" of {program.name}, '
                f"but got {float(alone[differs][0]):.4g} and {float(together[differs][0]):.4g}; {hint}."
            )


def require_gradient(program: Program, score: Tensor, site: str) -> None:
    """Raise `ProgramError` if the score gives no parameter a gradient, or a gradient that is not finite."""
    parameters = [p for p in program.parameters() if p.requires_grad]
    if not parameters:
        return
    found = torch.autograd.grad(score.sum(), parameters, allow_unused=True) if score.requires_grad else ()
    gradients = [g for g in found if g is not None]
    if not all(bool(torch.isfinite(g).all()) for g in gradients):
        raise ProgramError(
            f'Expected finite gradients from the site "{site}" of {program.name}, but got NaN or infinity; look for '
            "sqrt, log or a division at 0."
        )
    if not any(bool((g != 0).any()) for g in gradients):
        raise ProgramError(
            f'Expected the parameters of {program.name} to get a gradient from the site "{site}", but none does; look '
            "for detach, no_grad, or a parameter that is not used."
        )


def require_input_gradient(program: Program, result: Tensor, cause: Tensor, what: str) -> None:
    """Raise `ProgramError` unless the gradient of `result` reaches `cause`: continuous policies improve along it."""
    found = torch.autograd.grad(result.sum(), cause, allow_unused=True)[0] if result.requires_grad else None
    if found is None or not bool((found != 0).any()) or not bool(torch.isfinite(found).all()):
        raise ProgramError(
            f"Expected {what} of {program.name} to pass on a finite gradient, by which a continuous policy improves, "
            "but it does not; look for detach, no_grad or rounding."
        )


def require_pathwise(program: Program, distribution: Distribution, spec: Spec) -> None:
    """Raise `ProgramError` if actions are continuous and futures neither reparameterised nor enumerable."""
    pathwise = distribution.has_rsample or distribution.has_enumerate_support or is_branching(distribution)
    if isinstance(spec.action_space, Box) and not pathwise:
        raise ProgramError(
            f"Expected the futures of {program.name} to be reparameterised (has_rsample) as actions are continuous, "
            f"but got {type(distribution).__name__}; take such a distribution, or finite futures."
        )


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
    expected = torch.arange(count, device=values.device).to(values)
    if distribution.event_shape or values.shape[:1] != expected.shape or not torch.equal(values.flatten(), expected):
        raise ProgramError(
            f'Expected the site "{site}" of {name} to range over the integers 0 to {count - 1}, but got a '
            f"{type(distribution).__name__} of another support; give it one probability for each."
        )


def require_visible(program: Program, score: Tensor, *others: Program) -> None:
    """Raise `ProgramError` if a score depends on parameters outside the programs, which would not be trained."""
    own = {id(p) for one in (program, *others) for p in one.parameters()}
    visited, queue = set(), [score.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in own:
            raise ProgramError(
                f"Expected {program.name} to own its parameters, but it uses a tensor of shape "
                f"{tuple(leaf.shape)} from outside; make the program an nn.Module that holds it."
            )
        queue.extend(parent for parent, _ in node.next_functions)


def require_explores(name: str, offered: object, spec: Spec) -> None:
    """Raise `ProgramError` unless `explore` of a guide returned a batch of distributions over actions."""
    if not isinstance(offered, Distribution) or len(offered.batch_shape) != 1:
        raise ProgramError(
            f"Expected explore(state) of {name} to return a distribution over actions for each state, but got one of "
            f"type {type(offered).__name__}; return one with batch shape [B]."
        )
    require_fits(f"{name}.explore", "action", offered, spec.action_space)
