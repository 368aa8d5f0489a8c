"""What a model must do."""

from typing import Any

import torch

from gio_pyro.errors import ProgramError
from gio_pyro.programs import Model, build_model
from gio_pyro.testing.setting import (
    Setting,
    quietly,
    require_batch,
    require_gradient,
    require_sites,
    require_vectorised,
    trace_of,
)
from gio_pyro.types import Spec


def check_model(model: Any, spec: Spec) -> None:
    """Check a model p_ψ: a class built from `spec`, or a program `(policy, state, future=None)`.

    It must sample "action" from the policy and "future" given both, one value and one log-probability for each
    example; take `future` as data; depend on the action; and pass gradients to its parameters.

    Raises:
        ProgramError: the first of these that does not hold, and what to do.
        InputError: a spec whose spaces are not supported.
    """
    with quietly(getattr(model, "__name__", type(model).__name__)):
        setting = Setting.of(spec)
        built = build_model(model, spec, setting.policy, setting.state)
        _check_sites(built, setting)
        _check_scores(built, setting)
        _check_action_matters(built, setting, spec)


def _check_sites(model: Model, s: Setting) -> None:
    free = trace_of(model, s.policy, s.state)
    require_sites(model, free, {"action", "future"})
    for name in ("action", "future"):
        require_batch(model, free, name)
    prior = s.policy(s.state).log_prob(s.action)
    fn: Any = free.nodes["action"]["fn"]
    own = fn.log_prob(s.action)
    if not torch.allclose(prior, own, atol=1e-5):
        raise ProgramError(
            f'Expected {model.name} to sample "action" from policy(state), but it has another distribution there.'
        )
    given = trace_of(model, s.policy, s.state, s.future, data={"action": s.action})
    site: dict[str, Any] = dict(given.nodes["future"])
    if not site["is_observed"] or not torch.equal(site["value"], s.future):
        raise ProgramError(
            f"Expected {model.name} to observe a future that it is given, but it drew another; pass obs=future."
        )


def _check_scores(model: Model, s: Setting) -> None:
    score = model.log_prob(s.policy, s.state, s.action, s.future)
    if bool(torch.isnan(score).any()):
        raise ProgramError(
            f"Expected log-probabilities of futures from {model.name}, but got NaN; look for log 0 or 0/0."
        )
    alone = model.log_prob(s.policy, s.state[:1], s.action[:1], s.future[:1])
    require_vectorised(model, score, alone, "future")
    require_gradient(model, score, "future")


def _check_action_matters(model: Model, s: Setting, spec: Spec) -> None:
    """A fresh table may be uniform, so the parameters are moved before the question is asked."""
    parameters = list(model.parameters())
    if not parameters:
        return
    with torch.no_grad():
        for p in parameters:
            p.add_(torch.randn_like(p))
    actions = int(spec.action_space.n)  # type: ignore[attr-defined]
    scores = [model.log_prob(s.policy, s.state, torch.full_like(s.action, a), s.future) for a in range(actions)]
    if actions > 1 and all(torch.allclose(scores[0], other) for other in scores[1:]):
        raise ProgramError(
            f"Expected the futures of {model.name} to depend on the action, but they do not; use the sampled action."
        )
