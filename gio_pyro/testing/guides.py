"""What a guide must do."""

from dataclasses import replace
from typing import Any

import torch

from gio_pyro.errors import ProgramError
from gio_pyro.programs import Guide
from gio_pyro.programs.build import construct
from gio_pyro.programs.program import require_visible
from gio_pyro.testing.models import ready_model
from gio_pyro.testing.setting import (
    Setting,
    move,
    quietly,
    require_batch,
    require_gradient,
    require_sites,
    require_vectorised,
    run,
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
    with quietly(model):
        setting = Setting.of(spec)
        built_model = ready_model(model, spec, setting)
    with quietly(guide):
        built = Guide(construct(guide, replace(spec, model=built_model)))
        require_sites(
            built,
            run(built, setting.policy, setting.state, setting.future, data={"action": setting.action}),
            {"action"},
        )
        move(built)
        _check_site(built, setting, spec)
        _check_scores(built, setting, spec)


def _check_site(guide: Guide, s: Setting, spec: Spec) -> None:
    _, actions, _ = spec.sizes()
    site = run(guide, s.policy, s.state, s.future, data={"action": s.action})["action"]
    require_batch(guide, site, "action", actions)
    run(guide, s.policy, s.state, s.future, data={})


def _check_scores(guide: Guide, s: Setting, spec: Spec) -> None:
    _, actions, futures = spec.sizes()
    score = guide.log_prob(s.policy, s.state, s.future, s.action)
    alone = guide.log_prob(s.policy, s.state[-1:], s.future[-1:], s.action[-1:])
    require_vectorised(guide, score, alone, "action")
    if actions < 2:
        return
    require_visible(guide, score)
    require_gradient(guide, score, "action")
    if futures < 2 or getattr(guide.program, "ignores_future", False):
        return
    tried = range(min(futures, 16))
    scores = [guide.log_prob(s.policy, s.state, torch.full_like(s.future, f), s.action) for f in tried]
    if all(torch.allclose(scores[0], other) for other in scores[1:]):
        raise ProgramError(
            f"Expected {guide.name} to depend on the future, but it gives every future the same actions; use `future`, "
            "or set ignores_future = True if that is the method."
        )
