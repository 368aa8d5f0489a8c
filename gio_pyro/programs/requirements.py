"""What is asked of a program, one sentence for each thing that it does not do."""

from collections.abc import Callable
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Box
from pyro.distributions import MaskedDistribution
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from gio_pyro.errors import ProgramError
from gio_pyro.programs.program import Program, require_fits
from gio_pyro.programs.setting import BATCH, Setting
from gio_pyro.types import Spec


def require_batch(program: Program, node: dict[str, Any], site: str, space: Space[Any]) -> None:
    """Raise `ProgramError` unless a site has one distribution over a space for each example, without NaN."""
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
    require_fits(program.name, site, node["fn"], space)
    _require_whole(at, node)
    _require_normalised(at, node["fn"])
    if bool(torch.isnan(node["fn"].log_prob(node["value"])).any()):
        raise ProgramError(f"Expected log-probabilities at {at}, but got NaN; look for log 0 or 0/0.")


def _require_whole(at: str, node: dict[str, Any]) -> None:
    """Raise `ProgramError` where a handler would weigh or mask what is read as it is; a plate's own scale is none."""
    plates = 1.0
    for plate in node["cond_indep_stack"]:
        plates *= (plate.full_size or plate.size) / plate.size
    scale = torch.as_tensor(node["scale"])
    for handler, used in (
        ("poutine.scale", not bool(torch.isclose(scale, torch.tensor(plates).to(scale)).all())),
        ("poutine.mask", node["mask"] is not None and node["mask"] is not True),
    ):
        if used:
            raise ProgramError(
                f"Expected {at} to be scored by its own density, but it is inside {handler}, which nobody reads; take "
                "the handler away."
            )


def _require_normalised(at: str, distribution: Distribution) -> None:
    """Raise `ProgramError` for what is no density: masked, or probabilities that do not add up to 1."""
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


def require_unchanged(program: Program, setting: Setting) -> None:
    """Raise `ProgramError` where a program has written into the tensors that it was given."""
    if (name := setting.changed()) is not None:
        raise ProgramError(
            f"Expected {program.name} to leave the {name} that it is given as it is, but it changes it in place; work "
            "on a copy."
        )


def require_repeatable(program: Program, read: Callable[[], Tensor]) -> Tensor:
    """Return what was read, `[B]`; raises `ProgramError` unless it reads the same again and leaves all as it was."""
    before = {name: buffer.clone() for name, buffer in program.named_buffers()}
    first, second = read(), read()
    if not torch.allclose(first.detach(), second.detach(), rtol=1e-5, atol=1e-6, equal_nan=True):
        raise ProgramError(
            f"Expected {program.name} to score an example the same every time, but two scores of one batch differ; "
            "draw and count nothing when it is read, and dropout only while self.training is True."
        )
    for name, buffer in program.named_buffers():
        if name not in before or not torch.equal(buffer, before[name]):
            raise ProgramError(
                f"Expected {program.name} to stay as it is when it is read, but its buffer "
                f"{name.removeprefix('program.')[:60]} changes; update it in the method observe, or only while "
                "self.training is True."
            )
    return first


def require_vectorised(program: Program, score: Callable[[Tensor], Tensor], whole: Tensor, site: str) -> None:
    """Raise `ProgramError` unless an example scores the same in the batch `[BATCH]`, alone and in another order."""
    for rows in (torch.tensor([BATCH - 2, 0, BATCH - 1]), torch.tensor([BATCH - 1])):
        here, there = score(rows.to(whole.device)).detach(), whole[rows.to(whole.device)].detach()
        apart = (here - there).abs() > 1e-4 * here.abs().clamp_min(1.0)
        if bool(apart.any()):
            norms = [m for m in program.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
            fixed = all(norm.track_running_stats for norm in norms)
            hint = "examples must not mix" if fixed else "a batch norm needs track_running_stats=True"
            raise ProgramError(
                f'Expected an example to score the same alone and in a batch at the site "{site}" of {program.name}, '
                f"but got {float(here[apart][0]):.4g} and {float(there[apart][0]):.4g}; {hint}."
            )


def require_gradient(program: Program, score: Tensor, site: str) -> None:
    """Raise `ProgramError` if the program has parameters and the site gives none a gradient, or gives NaN."""
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


def require_path(program: Program, result: Tensor, cause: Tensor, what: str) -> None:
    """Raise `ProgramError` unless a gradient passes from `result` to `cause`: a continuous policy improves by it."""
    found = torch.autograd.grad(result.sum(), cause, allow_unused=True)[0] if result.requires_grad else None
    if found is None or not bool((found != 0).any()) or not bool(torch.isfinite(found).all()):
        raise ProgramError(
            f"Expected {what} of {program.name} to pass on a finite gradient, by which a continuous policy improves, "
            "but it does not; look for detach, no_grad or rounding."
        )


def require_pathwise(program: Program, distribution: Distribution, spec: Spec) -> None:
    """Raise `ProgramError` where a continuous policy could not learn through what it imagines."""
    if isinstance(spec.action_space, Box) and not (distribution.has_rsample or distribution.has_enumerate_support):
        raise ProgramError(
            f"Expected the futures of {program.name} to be reparameterised (has_rsample) as actions are continuous, "
            f"but got {type(distribution).__name__}; take such a distribution, or finite futures."
        )


def require_explores(name: str, offered: object, spec: Spec) -> None:
    """Raise `ProgramError` unless what a guide offers to explore with is a batch of distributions over actions."""
    if not isinstance(offered, Distribution) or len(offered.batch_shape) != 1:
        raise ProgramError(
            f"Expected explore(state) of {name} to return a distribution over actions for each state, but got one of "
            f"type {type(offered).__name__}; return one with batch shape [B]."
        )
    require_fits(f"{name}.explore", "action", offered, spec.action_space)
