"""Score sequences of actions by rollouts of the agent's model."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import TrainingError
from gio_pyro.planning.base import Problem

Propose = Callable[[int, Tensor], tuple[Tensor, Tensor]]
"""From the number of a step and the states `[M, ...]` to actions `[M, ...]` and log p_a − log proposal, `[M]` nats."""


@dataclass(frozen=True)
class Rollouts:
    """M imagined rollouts of H steps."""

    action: Tensor
    """`[M, H, ...]`."""
    score: Tensor
    """`[M]`: Σ γ^τ (r + α w I) + γ^H V, reward units."""
    log_ratio: Tensor
    """`[M]` nats: Σ log p_a − log of the proposal that the actions were drawn from."""


def roll_out(
    problem: Problem,
    state: Tensor,
    propose: Propose,
    horizon: int,
    *,
    alpha: Tensor | float,
    weight: float,
    value: bool,
) -> Rollouts:
    """Return one rollout from each state `[M, ...]`.

    What follows an end counts as much as it is probable that there was none.

    Args:
        problem: the model, the critic, α and γ.
        state: where rollouts begin.
        propose: draws the actions.
        horizon: H, steps.
        alpha: α, reward units per nat.
        weight: w of the information.
        value: whether the critic's value follows after the horizon.
    """
    zero = torch.zeros(len(state), device=state.device)
    actions, score, log_ratio, share = [], zero, zero, zero + 1
    for number in range(horizon):
        action, ratio = propose(number, state)
        step = problem.imagination.step(state, action)
        gain = step.reward + alpha * weight * step.information if weight else step.reward
        score = score + share * gain
        log_ratio = log_ratio + ratio
        share = share * problem.discount * (1 - step.ended)
        actions.append(action)
        state = step.next_state
    if value:
        score = score + share * problem.value(state, alpha)
    return Rollouts(torch.stack(actions, 1), score.float(), log_ratio.float())


def finite_scores(score: Tensor) -> Tensor:
    """Return scores unchanged; raise `TrainingError` if any is NaN or infinite."""
    if not bool(score.isfinite().all()):
        raise TrainingError(
            "Expected finite rewards, values and states from the model that a planner draws from, but got NaN or "
            "infinity; look at train/dynamics_nats or train/world_nats, and at train/critic_loss."
        )
    return score
