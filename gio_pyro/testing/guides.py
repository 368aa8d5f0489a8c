"""What a guide must do."""

from typing import Any

import torch
from torch import Tensor

from gio_pyro.errors import ProgramError
from gio_pyro.programs import Guide, build_guide, build_model
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


def check_guide(guide: Any, model: Any, spec: Spec) -> None:
    """Check a guide q_φ beside a model: a class built from `spec`, or a program `(policy, state, future)`.

    It must sample "action" and nothing else, one value and one log-probability for each example; depend on the
    future, unless it says `ignores_future = True`; and pass gradients to its parameters, if it has any.

    Raises:
        ProgramError: the first of these that does not hold, and what to do.
        InputError: a spec whose spaces are not supported.
    """
    with quietly(getattr(guide, "__name__", type(guide).__name__)):
        setting = Setting.of(spec)
        built_model = build_model(model, spec, setting.policy, setting.state)
        _move(built_model.parameters())
        built = build_guide(guide, spec, built_model, setting.policy, setting.state)
        _check_site(built, setting)
        _check_scores(built, setting)
        _check_future_matters(built, setting, spec)


def _check_site(guide: Guide, s: Setting) -> None:
    trace = trace_of(guide, s.policy, s.state, s.future)
    require_sites(guide, trace, {"action"})
    require_batch(guide, trace, "action")
    support = s.policy(s.state).enumerate_support(expand=False)
    own: Any = trace.nodes["action"]["fn"]
    if not own.has_enumerate_support or len(own.enumerate_support(expand=False)) != len(support):
        raise ProgramError(
            f'Expected the site "action" of {guide.name} to range over the {len(support)} actions of the policy, but '
            f"got a {type(own).__name__} of another support; give it one probability for each action."
        )


def _check_scores(guide: Guide, s: Setting) -> None:
    score = guide.log_prob(s.policy, s.state, s.future, s.action)
    alone = guide.log_prob(s.policy, s.state[:1], s.future[:1], s.action[:1])
    require_vectorised(guide, score, alone, "action")
    require_gradient(guide, score, "action")


def _check_future_matters(guide: Guide, s: Setting, spec: Spec) -> None:
    futures = int(spec.future_space.n)  # type: ignore[attr-defined]
    if getattr(guide.program, "ignores_future", False) or futures < 2:
        return
    _move(guide.parameters())
    scores = [
        guide.log_prob(s.policy, s.state, torch.full_like(s.future, f), s.action) for f in range(min(futures, 16))
    ]
    if all(torch.allclose(scores[0], other) for other in scores[1:]):
        raise ProgramError(
            f"Expected {guide.name} to depend on the future, but it gives every future the same actions; use `future`, "
            "or set ignores_future = True if that is the method."
        )


def _move(parameters: Any) -> None:
    """Shift parameters from where they started, since a fresh table may be constant."""
    with torch.no_grad():
        for p in parameters:
            value: Tensor = p
            value.add_(torch.randn_like(value))
