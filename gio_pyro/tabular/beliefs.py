"""Exact beliefs over the hidden states of a POMDP: filtering and smoothing by the forward-backward algorithm.

    p(s_t, x_t|x_<t, a_<t) = O(x_t|a_{t−1}, s_t) Σ_s p(s_t|s, a_{t−1}) b_{t−1}(s),    b_t ∝ that

An agent in a Gymnasium environment also sees the reward r_t of each step, and whether the episode terminated. The
functions condition on either only if it is given: `rewards` multiplies the transition by p(r_t|s, a, s'), and
`terminated` keeps those states s' alone that are terminal, or not, as it says. An agent that is still in its episode
gives `terminated=False`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.information import LARGEST_REWARD, as_flags, require_one_batch
from gio_pyro.tabular.pomdp import POMDP, as_belief, as_indices, as_pomdp
from gio_pyro.utils.checks import real_tensor

REWARD_TOLERANCE = 1e-9
"""Largest difference, relative to 1 and the reward, between a seen reward and one of the table."""


@dataclass(frozen=True)
class Filtered:
    """The beliefs along sequences of T steps; S states."""

    belief: Tensor
    """`[..., T + 1, S]`: p(s_t | x_0..t, a_0..t−1), and the rewards and terminations that were given."""
    predicted: Tensor
    """`[..., T + 1, S]`: p(s_t | x_0..t−1, a_0..t−1), before anything was seen at time t; `start` at t = 0."""
    log_likelihood: Tensor
    """`[..., T + 1]` nats: log-probability of what was seen at time t, given what was seen before."""


@dataclass(frozen=True)
class Smoothed:
    """The marginals of each state given the whole sequence."""

    marginal: Tensor
    """`[..., T + 1, S]`: p(s_t | x_0..T, a_0..T−1)."""
    filtered: Filtered
    """The forward pass."""


def forward_filter(
    pomdp: POMDP, observations: object, actions: object, *, rewards: object = None, terminated: object = None
) -> Filtered:
    """Return the belief after each observation.

    Args:
        pomdp: the POMDP.
        observations: x_0..T, `[..., T + 1]` integers.
        actions: a_0..T−1, `[..., T]` integers. Leading shapes broadcast.
        rewards: of each step, `[..., T]`, reward units; None: not seen. They are compared with the rewards of
            `pomdp.mdp.outcomes`.
        terminated: whether the episode terminated in each step, `[..., T]` booleans, or one for all steps; None: not
            seen.

    Raises:
        InputError: shapes or numbers that do not fit the POMDP, or a sequence of probability 0, at its first
            impossible step.
    """
    seen = _Seen(as_pomdp(pomdp), observations, actions, rewards, terminated)
    predicted = [pomdp.mdp.start.expand(*seen.batch, -1)]
    belief, log_likelihood = seen.condition(predicted[0], 0)
    beliefs, total = [belief], [log_likelihood]
    for t in range(1, seen.steps + 1):
        moved = torch.einsum("...s,...sn->...n", belief, seen.transition(t, rewarded=False))
        joint = moved if seen.rewards is None else torch.einsum("...s,...sn->...n", belief, seen.transition(t))
        belief, log_likelihood = seen.condition(joint, t)
        predicted, beliefs, total = [*predicted, moved], [*beliefs, belief], [*total, log_likelihood]
    return Filtered(torch.stack(beliefs, -2), torch.stack(predicted, -2), torch.stack(total, -1))


def forward_backward(
    pomdp: POMDP, observations: object, actions: object, *, rewards: object = None, terminated: object = None
) -> Smoothed:
    """Return the marginals of the states given the whole sequence; arguments and errors of `forward_filter`."""
    filtered = forward_filter(pomdp, observations, actions, rewards=rewards, terminated=terminated)
    seen = _Seen(pomdp, observations, actions, rewards, terminated)
    future = torch.ones_like(filtered.belief[..., 0, :])
    marginals = [filtered.belief[..., -1, :]]
    for t in range(seen.steps, 0, -1):
        evidence = future * seen.evidence(t) / filtered.log_likelihood[..., t, None].exp()
        future = torch.einsum("...sn,...n->...s", seen.transition(t), evidence)
        marginals.append(filtered.belief[..., t - 1, :] * future)
    marginal = torch.stack(marginals[::-1], -2)
    return Smoothed(marginal / marginal.sum(-1, keepdim=True), filtered)


def belief_update(
    pomdp: POMDP,
    belief: object,
    action: object,
    observation: object,
    *,
    reward: object = None,
    terminated: object = None,
) -> Tensor:
    """Return the belief after one action and observation, `[..., S]`.

    Args:
        pomdp: the POMDP.
        belief: `[..., S]`.
        action: `[...]` integers.
        observation: `[...]` integers. Leading shapes broadcast.
        reward: of the step, `[...]`, reward units; None: not seen.
        terminated: whether the episode terminated, `[...]` booleans; None: not seen.

    Raises:
        InputError: shapes or numbers that do not fit the POMDP, or an observation of probability 0.
    """
    b = as_belief(as_pomdp(pomdp), belief)
    x = as_indices("the observation", observation, pomdp.symbols, pomdp.mdp.start.device)[..., None]
    action, reward, terminated = (_as_sequence(one) for one in (action, reward, terminated))
    seen = _Seen(pomdp, torch.cat([torch.zeros_like(x), x], -1), action, reward, terminated)
    require_one_batch(b.shape[:-1], seen.batch, "the beliefs and observations")
    return seen.condition(torch.einsum("...s,...sn->...n", b, seen.transition(1)), 1)[0]


def observation_probabilities(pomdp: POMDP, belief: object, action: object) -> Tensor:
    """Return p(x|b, a), `[..., X]`, of beliefs `[..., S]` and integer actions `[...]`; errors of `belief_update`."""
    b = as_belief(as_pomdp(pomdp), belief)
    a = as_indices("the action", action, pomdp.actions, pomdp.mdp.start.device)
    require_one_batch(b.shape[:-1], a.shape, "the beliefs and actions")
    arrived = torch.einsum("...s,...sn->...n", b, pomdp.mdp.transition.transpose(0, 1)[a])
    return torch.einsum("...n,...nx->...x", arrived, pomdp.observation[a])


class _Seen:
    """What was seen along a sequence, checked, and its likelihood at each step."""

    def __init__(
        self, pomdp: POMDP, observations: object, actions: object, rewards: object, terminated: object
    ) -> None:
        self.pomdp = pomdp
        self.observations = as_indices("the observations", observations, pomdp.symbols, pomdp.mdp.start.device)
        self.actions = as_indices("the actions", actions, pomdp.actions, pomdp.mdp.start.device)
        self.rewards = None if rewards is None else real_tensor("the rewards", rewards).to(self.actions.device)
        self.terminated = None if terminated is None else as_flags("terminated", terminated).to(self.actions.device)
        if self.terminated is not None and self.terminated.ndim == 0:
            self.terminated = self.terminated.expand(self.actions.shape)
        steps = [self.actions, *(one for one in (self.rewards, self.terminated) if one is not None)]
        if self.observations.ndim == 0 or any(
            one.ndim == 0 or one.shape[-1] != self.observations.shape[-1] - 1 for one in steps
        ):
            raise InputError(
                "Expected one observation more than actions, rewards and terminations, but got shapes "
                f"{[tuple(one.shape) for one in (self.observations, *steps)]}; the first is seen before any action."
            )
        if self.rewards is not None and not bool((self.rewards.abs() <= LARGEST_REWARD).all()):
            raise InputError("Expected finite rewards, but got NaN or infinity; give those of the steps.")
        self.steps = steps[0].shape[-1]
        self.batch = self.observations.shape[:-1]
        for one in steps:
            self.batch = require_one_batch(self.batch, one.shape[:-1], "observations, actions and what else was seen")

    def transition(self, t: int, *, rewarded: bool = True) -> Tensor:
        """Return p(s_t, r_t|s_{t−1}, a_{t−1}), `[..., S, S]`; p(s_t|s_{t−1}, a_{t−1}) without rewards."""
        mdp, action = self.pomdp.mdp, self.actions[..., t - 1]
        if self.rewards is None or not rewarded:
            return mdp.transition.transpose(0, 1)[action]
        outcomes, r = mdp.outcomes, self.rewards[..., t - 1, None]
        equal = (outcomes.reward - r).abs() <= REWARD_TOLERANCE * r.abs().clamp_min(1.0)
        matching = outcomes.probability.transpose(0, 1)[action] * equal[..., None, :]
        into = torch.nn.functional.one_hot(outcomes.next_state, mdp.states).to(matching)
        return matching @ into

    def evidence(self, t: int) -> Tensor:
        """Return the probability of what was seen at time t, rewards left out, in each state, `[..., S]`."""
        x = self.observations[..., t]
        if t == 0:
            first = self.pomdp.first_observation
            return self.pomdp.mdp.start.new_ones(self.pomdp.states) if first is None else first.T[x]
        seen = self.pomdp.observation.transpose(-1, -2)[self.actions[..., t - 1], x]
        if self.terminated is None:
            return seen
        return seen * (self.pomdp.mdp.terminal == self.terminated[..., t - 1, None])

    def condition(self, joint: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """Return the belief `[..., S]` and the log-probability `[...]` nats of what was seen at time t."""
        joint = joint * self.evidence(t)
        total = joint.sum(-1, keepdim=True)
        if not bool((total > 0).all()):
            raise InputError(
                f"Expected a sequence that the POMDP can produce, but what was seen at step {t} has probability 0; "
                "check its order, or the tables."
            )
        return joint / total, total[..., 0].log()


def _as_sequence(value: object) -> Tensor | None:
    """Return what was seen in one step, `[...]`, as a sequence of one, `[..., 1]`."""
    return None if value is None else real_tensor("what was seen", value)[..., None]
