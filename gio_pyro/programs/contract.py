"""Checks of a model and a guide, run when an agent is built and by `gio_pyro.testing`.

Both run a program on the same random batch (`ExampleBatch`) and raise the same error for the same defect.
"""

from collections.abc import Sequence

import torch
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.errors import ProgramError
from gio_pyro.programs.check_batch import ExampleBatch, other_values, perturb, run_sites, support_size
from gio_pyro.programs.guide import Guide
from gio_pyro.programs.latent_guides import bind_guide, find_latents
from gio_pyro.programs.model import Model
from gio_pyro.programs.modes import fitting
from gio_pyro.programs.requirements import (
    require_batch,
    require_explores,
    require_gradient,
    require_input_gradient,
    require_pathwise,
    require_repeatable,
    require_unchanged,
    require_vectorised,
    require_visible,
)
from gio_pyro.programs.sites import ACTION, FUTURE
from gio_pyro.types import Spec


def require_model(model: Model, spec: Spec, batch: ExampleBatch) -> None:
    """Raise `ProgramError` for the first requirement that a model violates; the model is modified: pass a copy."""
    prepare_model(model, batch)
    _check_sites(model, batch, spec)
    _check_data(model, batch)
    _check_scores(model, batch, spec)
    require_unchanged(model, batch)


def prepare_model(model: Model, batch: ExampleBatch) -> None:
    """Let a model observe data, create all its parameters, and perturb them from their initial values."""
    model.observe(batch.state, batch.action, batch.future)
    sites = run_sites(model, batch.policy, batch.state, data={ACTION: batch.action, FUTURE: batch.future})
    require_unchanged(model, batch)
    find_latents(model, batch.policy, batch.state, sites)
    run_sites(
        model, batch.policy, batch.state, batch.future, data={ACTION: batch.action}
    )  # creates parameters used only with data
    model.eval_all()
    perturb(model)


def _check_sites(model: Model, batch: ExampleBatch, spec: Spec) -> None:
    sites = run_sites(model, batch.policy, batch.state, data={ACTION: batch.action, FUTURE: batch.future})
    require_batch(model, sites[ACTION], ACTION, spec.action_space)
    require_batch(model, sites[FUTURE], FUTURE, spec.future_space)
    require_pathwise(model, sites[FUTURE]["fn"], spec)
    own, prior = sites[ACTION]["fn"].log_prob(batch.action), batch.policy(batch.state).log_prob(batch.action)
    if not torch.allclose(own, prior, atol=1e-5):
        raise ProgramError(
            f'Expected {model.name} to sample "action" from policy(state), but it has another distribution there; '
            "use policy(state)."
        )


def _check_data(model: Model, batch: ExampleBatch) -> None:
    free = run_sites(model, batch.policy, batch.state, data={})
    for site in (ACTION, FUTURE):
        if free[site]["is_observed"]:
            raise ProgramError(
                f'Expected {model.name} to draw "{site}" where it is not given, but it observes values of its own; '
                f"take {'obs=future, which may be None' if site == FUTURE else 'obs away'}."
            )
    given = run_sites(model, batch.policy, batch.state, batch.future, data={ACTION: batch.action})[FUTURE]
    if not given["is_observed"] or not torch.equal(given["value"], batch.future):
        raise ProgramError(
            f"Expected {model.name} to observe a future that it is given, but it drew another; pass obs=future."
        )


def _check_scores(model: Model, batch: ExampleBatch, spec: Spec) -> None:
    score = require_repeatable(model, lambda: model.log_prob(batch.policy, batch.state, batch.action, batch.future))
    require_vectorised(
        model,
        lambda rows: model.log_prob(batch.policy, batch.state[rows], batch.action[rows], batch.future[rows]),
        score,
        FUTURE,
    )
    require_visible(model, score)
    if support_size(spec.future_space) >= 2:
        _check_learning(model, batch)
        if support_size(spec.action_space) > 1 and not _depends_on_action(model, batch, spec):
            raise ProgramError(
                f"Expected the futures of {model.name} to depend on the action, but they do not; use the sampled "
                "action, or set ignores_action = True if that is the method."
            )
        if isinstance(spec.action_space, Box) and not model.ignores_action:
            _check_path(model, batch)
    _check_uncertainty(model, batch)


def _check_learning(model: Model, batch: ExampleBatch) -> None:
    """Check that gradients of the fitting objective reach the parameters, in training mode."""
    with fitting(model):
        sampled = model.future(batch.policy, batch.state, batch.action).sample()
        scores = [model.log_prob(batch.policy, batch.state, batch.action, future) for future in (batch.future, sampled)]
        require_gradient(model, scores[0] + scores[1], FUTURE)
        bound = model.evidence(batch.policy, batch.state, batch.action, sampled)
        require_visible(model, bound)
        require_gradient(model, bound, FUTURE)


def _check_uncertainty(model: Model, batch: ExampleBatch) -> None:
    """Run the optional methods `beliefs`, `sample_beliefs` and `information_gain`, which check their own output."""
    if hasattr(model.program, "beliefs"):
        model.beliefs(batch.state, batch.action)
    if hasattr(model.program, "sample_beliefs"):
        model.sample_beliefs(batch.state, batch.action, 3)
    if hasattr(model.program, "information_gain"):
        model.information_gain(batch.state, batch.action, batch.future)


def _depends_on_action(model: Model, batch: ExampleBatch, spec: Spec) -> bool:
    """Return whether the probability of some future, of the batch or drawn from the model, depends on the action.

    A random future of the batch may be one that no action leads to, so draws from the model are tried as well.
    """
    if model.ignores_action:
        return True
    actions = other_values(spec.action_space, batch.action)
    futures = [batch.future, *(model.future(batch.policy, batch.state, action).sample() for action in actions)]
    for future in futures:
        first, *rest = (model.log_prob(batch.policy, batch.state, action, future) for action in actions)
        if not all(torch.allclose(first, other) for other in rest):
            return True
    return False


def _check_path(model: Model, batch: ExampleBatch) -> None:
    """Check that the gradient of sampled or enumerated futures reaches the action."""
    action = batch.action.clone().requires_grad_(True)
    future = model.future(batch.policy, batch.state, action)
    result = future.rsample() if future.has_rsample else future.log_prob(batch.future)
    require_input_gradient(model, result, action, "the futures")


def require_guide(guide: Guide, model: Model, spec: Spec, batch: ExampleBatch) -> None:
    """Raise `ProgramError` for the first requirement that a guide violates; the guide is modified: pass a copy.

    The futures are drawn from the prepared model: under a deterministic model no action explains any others.
    """
    observed_by_model = batch.future
    batch = batch.with_future(model.future(batch.policy, batch.state, batch.action).sample())
    guide.observe(batch.state, batch.action, batch.future)
    sites = run_sites(guide, batch.policy, batch.state, batch.future, data={ACTION: batch.action})
    require_unchanged(guide, batch)
    bind_guide(guide, model, batch.policy, sites)
    guide.eval_all()
    perturb(guide)
    site = run_sites(guide, batch.policy, batch.state, batch.future, data={ACTION: batch.action})[ACTION]
    require_batch(guide, site, ACTION, spec.action_space)
    if run_sites(guide, batch.policy, batch.state, batch.future, data={})[ACTION]["is_observed"]:
        raise ProgramError(f'Expected {guide.name} to draw "action", but it observes values of its own; take obs away.')
    told = (observed_by_model, batch.future)  # model and guide may hold all others to be alike
    _check_guide_scores(guide, batch, spec, told)
    _check_extras(guide, batch, spec)
    require_unchanged(guide, batch)


def _check_guide_scores(guide: Guide, batch: ExampleBatch, spec: Spec, told: Sequence[Tensor]) -> None:
    score = require_repeatable(guide, lambda: guide.log_prob(batch.policy, batch.state, batch.future, batch.action))
    require_vectorised(
        guide,
        lambda rows: guide.log_prob(batch.policy, batch.state[rows], batch.future[rows], batch.action[rows]),
        score,
        ACTION,
    )
    require_visible(guide, score)
    if support_size(spec.action_space) < 2:
        return
    with fitting(guide):
        require_gradient(guide, guide.log_prob(batch.policy, batch.state, batch.future, batch.action), ACTION)
    if support_size(spec.future_space) < 2 or guide.ignores_future:
        return
    scores = [
        guide.log_prob(batch.policy, batch.state, future, batch.action)
        for future in (*told, *other_values(spec.future_space, batch.future))
    ]
    if all(torch.allclose(scores[0], other) for other in scores[1:]):
        raise ProgramError(
            f"Expected {guide.name} to depend on the future, but it gives every future the same actions; use `future`, "
            "or set ignores_future = True if that is the method."
        )
    if isinstance(spec.action_space, Box) and isinstance(spec.future_space, Box):
        future = batch.future.float().requires_grad_(True)
        require_input_gradient(
            guide, guide.log_prob(batch.policy, batch.state, future, batch.action), future, "the posterior"
        )


def _check_extras(guide: Guide, batch: ExampleBatch, spec: Spec) -> None:
    """Call the optional methods `explore` and `follow`, as an agent does."""
    if guide.explorer is not None:
        require_explores(guide.name, guide.explorer(batch.state), spec)
    guide.follow(batch.policy, batch.transitions())
