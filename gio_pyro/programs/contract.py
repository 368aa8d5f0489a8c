"""What a model and a guide must do, whoever asks: an agent that is built of them, or `gio_pyro.testing`.

Both run the same programs on the same made-up batch, and refuse the same ones with the same sentence.
"""

import torch
from gymnasium.spaces import Box

from gio_pyro.errors import ProgramError
from gio_pyro.programs.program import Guide, Model, fitting, require_visible
from gio_pyro.programs.requirements import (
    require_batch,
    require_explores,
    require_gradient,
    require_path,
    require_pathwise,
    require_repeatable,
    require_unchanged,
    require_vectorised,
)
from gio_pyro.programs.setting import Setting, count, move, others, run
from gio_pyro.programs.sites import ACTION, FUTURE
from gio_pyro.types import Spec


def require_model(model: Model, spec: Spec, s: Setting) -> None:
    """Raise `ProgramError` for the first thing that a model does not do; it is changed by that: pass a copy."""
    prepare_model(model, s)
    _check_sites(model, s, spec)
    _check_data(model, s)
    _check_scores(model, s, spec)
    require_unchanged(model, s)


def prepare_model(model: Model, s: Setting) -> None:
    """Show a model its first data, find all its parameters, and move them off where they start."""
    model.observe(s.state, s.action, s.future)
    run(model, s.policy, s.state, data={ACTION: s.action, FUTURE: s.future})
    require_unchanged(model, s)
    run(model, s.policy, s.state, s.future, data={ACTION: s.action})  # for parameters met only when there is data
    model.rest()
    move(model)


def _check_sites(model: Model, s: Setting, spec: Spec) -> None:
    sites = run(model, s.policy, s.state, data={ACTION: s.action, FUTURE: s.future})
    require_batch(model, sites[ACTION], ACTION, spec.action_space)
    require_batch(model, sites[FUTURE], FUTURE, spec.future_space)
    require_pathwise(model, sites[FUTURE]["fn"], spec)
    own, prior = sites[ACTION]["fn"].log_prob(s.action), s.policy(s.state).log_prob(s.action)
    if not torch.allclose(own, prior, atol=1e-5):
        raise ProgramError(
            f'Expected {model.name} to sample "action" from policy(state), but it has another distribution there; '
            "use policy(state)."
        )


def _check_data(model: Model, s: Setting) -> None:
    free = run(model, s.policy, s.state, data={})
    for site in (ACTION, FUTURE):
        if free[site]["is_observed"]:
            raise ProgramError(
                f'Expected {model.name} to draw "{site}" where it is not given, but it observes values of its own; '
                f"take {'obs=future, which may be None' if site == FUTURE else 'obs away'}."
            )
    given = run(model, s.policy, s.state, s.future, data={ACTION: s.action})[FUTURE]
    if not given["is_observed"] or not torch.equal(given["value"], s.future):
        raise ProgramError(
            f"Expected {model.name} to observe a future that it is given, but it drew another; pass obs=future."
        )


def _check_scores(model: Model, s: Setting, spec: Spec) -> None:
    score = require_repeatable(model, lambda: model.log_prob(s.policy, s.state, s.action, s.future))
    require_vectorised(
        model, lambda rows: model.log_prob(s.policy, s.state[rows], s.action[rows], s.future[rows]), score, FUTURE
    )
    require_visible(model, score)
    if count(spec.future_space) >= 2:
        _check_learning(model, s)
        if count(spec.action_space) > 1 and not _depends_on_action(model, s, spec):
            raise ProgramError(
                f"Expected the futures of {model.name} to depend on the action, but they do not; use the sampled "
                "action, or set ignores_action = True if that is the method."
            )
        if isinstance(spec.action_space, Box) and not model.ignores_action:
            _check_path(model, s)
    _check_knowledge(model, s)


def _check_learning(model: Model, s: Setting) -> None:
    """Follow the gradients from what the model is fitted by, as it is fitted, to its parameters."""
    with fitting(model):
        likely = model.future(s.policy, s.state, s.action).sample()
        scores = [model.log_prob(s.policy, s.state, s.action, future) for future in (s.future, likely)]
        require_gradient(model, scores[0] + scores[1], FUTURE)
        bound = model.evidence(s.policy, s.state, s.action, likely)
        require_visible(model, bound)
        require_gradient(model, bound, FUTURE)


def _check_knowledge(model: Model, s: Setting) -> None:
    """Ask what a model says that it does not know, if it does."""
    if hasattr(model.program, "beliefs"):
        model.beliefs(s.state, s.action)
    if hasattr(model.program, "information_gain"):
        model.information_gain(s.state, s.action, s.future)


def _depends_on_action(model: Model, s: Setting, spec: Spec) -> bool:
    """Whether some future is likelier after one action than after another: of the batch, or drawn from the model.

    A made-up future may be one that no action leads to.
    """
    if model.ignores_action:
        return True
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
    result = future.rsample() if future.has_rsample else future.log_prob(s.future)
    require_path(model, result, action, "the futures")


def require_guide(guide: Guide, beside: Model, spec: Spec, s: Setting) -> None:
    """Raise `ProgramError` for the first thing that a guide does not do beside a prepared model, both copies.

    It is asked about futures that the model can have: beside a sure model no action explains any other.
    """
    s = s.after(beside.future(s.policy, s.state, s.action).sample())
    guide.observe(s.state, s.action, s.future)
    run(guide, s.policy, s.state, s.future, data={ACTION: s.action})
    require_unchanged(guide, s)
    guide.rest()
    move(guide)
    site = run(guide, s.policy, s.state, s.future, data={ACTION: s.action})[ACTION]
    require_batch(guide, site, ACTION, spec.action_space)
    if run(guide, s.policy, s.state, s.future, data={})[ACTION]["is_observed"]:
        raise ProgramError(f'Expected {guide.name} to draw "action", but it observes values of its own; take obs away.')
    _check_guide_scores(guide, s, spec)
    _check_extras(guide, s, spec)
    require_unchanged(guide, s)


def _check_guide_scores(guide: Guide, s: Setting, spec: Spec) -> None:
    score = require_repeatable(guide, lambda: guide.log_prob(s.policy, s.state, s.future, s.action))
    require_vectorised(
        guide, lambda rows: guide.log_prob(s.policy, s.state[rows], s.future[rows], s.action[rows]), score, ACTION
    )
    require_visible(guide, score)
    if count(spec.action_space) < 2:
        return
    with fitting(guide):
        require_gradient(guide, guide.log_prob(s.policy, s.state, s.future, s.action), ACTION)
    if count(spec.future_space) < 2 or guide.ignores_future:
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


def _check_extras(guide: Guide, s: Setting, spec: Spec) -> None:
    """Use the methods that a guide may have besides, as an agent would."""
    if guide.explorer is not None:
        require_explores(guide.name, guide.explorer(s.state), spec)
    guide.follow(s.policy, s.transitions())
