"""What a guide must do."""

from dataclasses import replace
from typing import Any

import torch
from gymnasium.spaces import Box

from gio_pyro.errors import ProgramError
from gio_pyro.programs import Guide
from gio_pyro.programs.build import construct
from gio_pyro.programs.program import require_visible
from gio_pyro.testing.models import ready_model
from gio_pyro.testing.setting import (
    Setting,
    count,
    move,
    others,
    quietly,
    require_batch,
    require_gradient,
    require_path,
    require_sites,
    require_vectorised,
    run,
)
from gio_pyro.types import Spec


def check_guide(guide: Any, model: Any, spec: Spec) -> None:
    """Check a guide q_φ beside a model: a class built from `spec`, or a program `(policy, state, future)`.

    It must sample "action" and nothing else, one value and one log-probability for each example; depend on the
    future, unless it says `ignores_future = True`; and pass gradients to its parameters, if it has any. Where actions
    and futures are continuous it must also pass gradients on to the future.

    Raises:
        ProgramError: the first of these that does not hold, and what to do.
        InputError: a spec whose spaces are not supported.
    """
    with quietly(model):
        setting = Setting.of(spec)
        built_model = ready_model(model, spec, setting)
    with quietly(guide):
        built = Guide(construct(guide, replace(spec, model=built_model)))
        built.observe(setting.state, setting.action, setting.future)
        require_sites(
            built,
            run(built, setting.policy, setting.state, setting.future, data={"action": setting.action}),
            {"action"},
        )
        move(built)
        _check_site(built, setting, spec)
        _check_scores(built, setting, spec)


def _check_site(guide: Guide, s: Setting, spec: Spec) -> None:
    site = run(guide, s.policy, s.state, s.future, data={"action": s.action})["action"]
    require_batch(guide, site, "action", spec.action_space)
    run(guide, s.policy, s.state, s.future, data={})


def _check_scores(guide: Guide, s: Setting, spec: Spec) -> None:
    score = guide.log_prob(s.policy, s.state, s.future, s.action)
    alone = guide.log_prob(s.policy, s.state[-1:], s.future[-1:], s.action[-1:])
    require_vectorised(guide, score, alone, "action")
    if count(spec.action_space) < 2:
        return
    require_visible(guide, score)
    require_gradient(guide, score, "action")
    if count(spec.future_space) < 2 or getattr(guide.program, "ignores_future", False):
        return
    scores = [guide.log_prob(s.policy, s.state, future, s.action) for future in others(spec.future_space, s.future)]
    if all(torch.allclose(scores[0], other) for other in scores[1:]):
        raise ProgramError(
            f"Expected {guide.name} to depend on the future, but it gives every future the same actions; use `future`, "
            "or set ignores_future = True if that is the method."
        )
    if isinstance(spec.action_space, Box) and isinstance(spec.future_space, Box):
        future = s.future.float().requires_grad_(True)
        require_path(guide, guide.log_prob(s.policy, s.state, future, s.action), future, "the posterior")
