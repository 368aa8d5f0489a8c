"""Imitation from states: the guide says which actions led where an expert went, and the policy learns them.

The guide q(a|s, s') is written relative to a policy. Read with the policy π of the agent as that prior, it answers with
the actions that π would have taken from s to s'; a policy that takes these instead explains better where the expert
went. Each reading is a step of expectation maximisation on E log p_π(s'|s) (equation 3 of the theory names its slack:
what the guide's posterior differs by). Actions of the expert are not needed.
"""

from collections.abc import Callable
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.agent.gio import GIO
from gio_pyro.collection.predict import encode_query
from gio_pyro.errors import InputError
from gio_pyro.futures.spec import is_next_state
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.programs import example, log_probs, without_validation
from gio_pyro.settings import finite_world
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import instance, whole
from gio_pyro.utils.randomness import PrivateRandom

READINGS, UPDATES = 100, 2_000
"""Default number of readings of all transitions, for tables, and of gradient steps, for networks."""
BATCH = 256
"""Transitions of a gradient step."""


def imitate(
    agent: GIO, observations: Any, next_observations: Any, *, iterations: int | None = None, seed: int = 0
) -> GIO:
    """Make the policy of an agent imitate an expert, given the states it went through, and return the agent.

    The agent must have learned how its environment answers, by whatever it did; uniform actions will do
    (`learning_starts`). Its policy is the prior of the first reading, so that it should not be sure of anything: in
    states that the expert was not in, and of actions that lead to the same next state, it stays as it was. Model, guide
    and critic do not change. Afterwards `predict`, `evaluate` and `save` have the imitation, and `learn` goes on from
    it.

    Args:
        agent: the agent, with the future `NextState` and a guide that reads it.
        observations: N observations of the expert, as the environment gives them: an array `[N, ...]`, or a dictionary
            or tuple of arrays.
        next_observations: those that followed each of them.
        iterations: readings of all transitions, for tables (100 by default), or gradient steps on batches of 256 of
            them, for networks (2,000).
        seed: of batches and of actions that are drawn from the guide.

    Raises:
        InputError: another future, a guide that ignores it, a world model, observations that are not in the space, not
            finite, or not as many before as after, or a number out of range.
    """
    instance("agent", agent, GIO, "make one with gio.GIO")
    _require_guide_of_next_states(agent)
    iterations = None if iterations is None else whole("iterations", iterations, 1)
    state, future = _read(agent, observations, next_observations)
    tables = finite_world(agent.spec.state_space, agent.spec.action_space)
    step = _from_tables if tables else _from_networks
    default = READINGS if tables else UPDATES
    with PrivateRandom(whole("seed", seed, 0), agent.device).use(), without_validation():
        step(agent, state, future, iterations or default)
    return agent


def _require_guide_of_next_states(agent: GIO) -> None:
    if agent.beliefs.learns:
        raise InputError("Expected an agent that sees its states, but got one with a world model; make one without.")
    if not is_next_state(agent.future):
        raise InputError(f"Expected an agent with the future NextState, but got {agent.future}; train one with it.")
    if agent.guide.ignores_future:
        raise InputError(
            f"Expected a guide that infers actions from next states, but got {agent.guide.name}, which ignores them; "
            "train an agent with another guide."
        )


def _read(agent: GIO, observations: Any, next_observations: Any) -> tuple[Tensor, Tensor]:
    """Return states and futures, `[N, ...]` each; what else transitions have is not read."""
    state, after = (_states(agent, given) for given in (observations, next_observations))
    if not len(state) or len(state) != len(after):
        raise InputError(
            f"Expected as many next observations as observations, and at least one, but got {len(after)} and "
            f"{len(state)}; give the one that followed each."
        )
    nothing = torch.zeros(len(state), device=agent.device)
    rows = Transitions(
        state=state,
        action=example(agent.spec.action_space, agent.device)[:1].repeat_interleave(len(state), 0),
        reward=nothing,
        next_state=after,
        terminated=nothing.bool(),
        truncated=nothing.bool(),
        log_behaviour=nothing,
        weight=nothing + 1,
    )
    return state, agent.future.of(rows)


def _states(agent: GIO, observations: Any) -> Tensor:
    if not agent.collector.observations.batched(observations):
        raise InputError("Expected observations [N, ...] of N moments, but got one; add an axis in front.")
    encoded = encode_query(agent.collector, observations, many=True)
    states, _ = agent.collector.environments.masks.add_to_query(encoded, observations, None, many=True)
    return torch.as_tensor(states, device=agent.device)


@torch.no_grad()
def _from_tables(agent: GIO, state: Tensor, future: Tensor, readings: int) -> None:
    """Set the policy of every state that was seen to the mean of what the guide answers, `readings` times."""
    pairs, counts = torch.unique(torch.stack([state, future], 1), dim=0, return_counts=True)
    seen, row = torch.unique(pairs[:, 0], return_inverse=True)
    policy: Any = agent.policy
    for _ in range(readings):
        q = log_probs(agent.guide.posterior(policy, pairs[:, 0], pairs[:, 1]), agent.guide.name).exp()
        total = torch.zeros(len(seen), q.shape[-1], dtype=q.dtype, device=q.device)
        total.index_add_(0, row, counts[:, None] * q)
        log_pi = (total / total.sum(-1, keepdim=True)).log()
        policy.improve(seen, torch.zeros_like(log_pi), log_pi, temperature=1.0)


def _from_networks(agent: GIO, state: Tensor, future: Tensor, updates: int) -> None:
    """Take gradient steps of the policy on the log-probability of what the guide answers."""
    policy: Any = agent.policy
    loss = _expected if isinstance(agent.spec.action_space, Discrete) else _sampled
    descent = Descent("imitation", _loss_of(agent, loss), adam(list(policy.parameters()), agent.settings.learning_rate))
    for _ in range(updates):
        row = torch.randint(len(state), (BATCH,), device=state.device)
        descent.step(None, state[row], future[row])


Score = Callable[[Any, Any, str], Tensor]
"""From q(a|s, s') and π(a|s) `[B]` each to E_q log π(a|s), or a sample of it, `[B]`."""


def _loss_of(agent: GIO, score: Score) -> Callable[..., tuple[Tensor, Figures]]:
    def loss(context: None, state: Tensor, future: Tensor) -> tuple[Tensor, Figures]:
        with torch.no_grad():
            q = agent.guide.posterior(agent.policy, state, future)
        found = -score(q, agent.policy(state), agent.guide.name).mean()
        return found, {"imitation_loss": found}

    return loss


def _expected(q: Any, pi: Any, name: str) -> Tensor:
    return (log_probs(q, name).exp() * log_probs(pi)).sum(-1)


def _sampled(q: Any, pi: Any, name: str) -> Tensor:
    found: Tensor = pi.log_prob(q.sample())
    return found
