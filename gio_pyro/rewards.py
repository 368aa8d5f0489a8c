"""The intrinsic reward, read from the guide's log-probabilities (theory, equation 3)."""

import torch
from torch import Tensor

from gio_pyro.errors import TrainingError
from gio_pyro.programs import Guide, Model, imagine, log_probs
from gio_pyro.types import Policy


@torch.no_grad()
def expected_log_guide(model: Model, guide: Guide, policy: Policy, state: Tensor, *, samples: int) -> Tensor:
    """Return log ρ̄(s, a) = E_{F~p_ψ(·|s,a)} log q(a|s, F) of every action, `[B, A]` nats.

    Args:
        model: p_ψ, which imagines the futures.
        guide: whose log-probabilities are read.
        policy: π, the action prior.
        state: `[B, ...]`.
        samples: futures drawn for each action where they cannot be enumerated.

    Raises:
        TrainingError: a log-probability is NaN or infinite.
    """
    dream = imagine(model, policy, state, samples=samples)
    log_rho = dream.mean(guide.log_prob(policy, state[dream.row], dream.future, dream.action))
    if not bool(torch.isfinite(log_rho).all()):
        raise TrainingError(
            f"Expected finite log-probabilities from {guide.name}, but got NaN or infinity; "
            "an action that the policy can take must keep some probability."
        )
    return log_rho


@torch.no_grad()
def intrinsic_reward(policy: Policy, state: Tensor, log_rho: Tensor) -> Tensor:
    """Return Σ_a π(a|s) (log ρ̄(s, a) − log π(a|s)), `[B]` nats: the bound L_q of theory, equation 3."""
    log_pi = log_probs(policy(state))
    return (log_pi.exp() * (log_rho - log_pi)).sum(-1)
