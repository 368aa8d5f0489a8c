"""What a model must do."""

from typing import Any

import torch
from gymnasium.spaces import Box

from gio_pyro.errors import ProgramError
from gio_pyro.programs import Model
from gio_pyro.programs.build import construct
from gio_pyro.programs.program import require_visible
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


def check_model(model: Any, spec: Spec) -> None:
    """Check a model p_ψ: a class built from `spec`, or a program `(policy, state, future=None)`.

    It must sample "action" from the policy and "future" given both, one value and one log-probability for each
    example; take `future` as data; depend on the action; and pass gradients to its parameters. Where actions are
    continuous its futures must also pass gradients on to the action.

    Raises:
        ProgramError: the first of these that does not hold, and what to do.
        InputError: a spec whose spaces are not supported.
    """
    with quietly(model):
        setting = Setting.of(spec)
        built = ready_model(model, spec, setting)
        _check_sites(built, setting, spec)
        _check_data(built, setting)
        _check_scores(built, setting, spec)


def ready_model(model: Any, spec: Spec, s: Setting) -> Model:
    """Return a private copy of the model with its parameters in place and moved; its sites are checked."""
    built = Model(construct(model, spec))
    built.observe(s.state, s.action, s.future)
    require_sites(
        built, run(built, s.policy, s.state, data={"action": s.action, "future": s.future}), {"action", "future"}
    )
    run(built, s.policy, s.state, s.future, data={"action": s.action})  # for parameters met only when there is data
    move(built)
    return built


def _check_sites(model: Model, s: Setting, spec: Spec) -> None:
    sites = run(model, s.policy, s.state, data={"action": s.action, "future": s.future})
    require_batch(model, sites["action"], "action", spec.action_space)
    require_batch(model, sites["future"], "future", spec.future_space)
    own, prior = sites["action"]["fn"].log_prob(s.action), s.policy(s.state).log_prob(s.action)
    if not torch.allclose(own, prior, atol=1e-5):
        raise ProgramError(
            f'Expected {model.name} to sample "action" from policy(state), but it has another distribution there; '
            "use policy(state)."
        )


def _check_data(model: Model, s: Setting) -> None:
    free = run(model, s.policy, s.state, data={})
    require_sites(model, free, {"action", "future"})
    given = run(model, s.policy, s.state, s.future, data={"action": s.action})["future"]
    if not given["is_observed"] or not torch.equal(given["value"], s.future):
        raise ProgramError(
            f"Expected {model.name} to observe a future that it is given, but it drew another; pass obs=future."
        )


def _check_scores(model: Model, s: Setting, spec: Spec) -> None:
    score = model.log_prob(s.policy, s.state, s.action, s.future)
    alone = model.log_prob(s.policy, s.state[-1:], s.action[-1:], s.future[-1:])
    require_vectorised(model, score, alone, "future")
    if count(spec.future_space) < 2:
        return
    require_visible(model, score)
    likely = model.future(s.policy, s.state, s.action).sample()
    require_gradient(model, score + model.log_prob(s.policy, s.state, s.action, likely), "future")
    bound = model.evidence(s.policy, s.state, s.action, likely)
    require_visible(model, bound)
    require_gradient(model, bound, "future")
    if count(spec.action_space) > 1 and not _actions_differ(model, s, spec):
        raise ProgramError(
            f"Expected the futures of {model.name} to depend on the action, but they do not; use the sampled action."
        )
    if isinstance(spec.action_space, Box):
        _check_path(model, s)


def _actions_differ(model: Model, s: Setting, spec: Spec) -> bool:
    """Whether some future is likelier after one action than after another: of the batch, or drawn from the model.

    A made-up future may be one that no action leads to.
    """
    tried = others(spec.action_space, s.action)
    futures = [s.future, *(model.future(s.policy, s.state, action).sample() for action in tried)]
    for future in futures:
        first, *rest = (model.log_prob(s.policy, s.state, action, future) for action in tried)
        if not all(torch.allclose(first, other) for other in rest):
            return True
    return False


def _check_path(model: Model, s: Setting) -> None:
    """Follow the gradient from imagined futures, as drawn or enumerated, to the action."""
    action = s.action.clone().requires_grad_(True)
    future = model.future(s.policy, s.state, action)
    if future.has_rsample:
        return require_path(model, future.rsample(), action, "the futures")
    if not future.has_enumerate_support:
        raise ProgramError(
            f"Expected the futures of {model.name} to be reparameterised or enumerated where actions are continuous, "
            f"but a {type(future).__name__} is neither; use a distribution that has rsample."
        )
    return require_path(model, future.log_prob(s.future), action, "the futures")
