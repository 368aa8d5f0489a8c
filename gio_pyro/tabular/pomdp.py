"""Finite partially observable Markov decision processes as tables, from arrays or from a Gymnasium environment.

The agent acts, the hidden state moves, and the agent sees one of X symbols, drawn by the state it arrives in:

    s' ~ p(s'|s, a),    x' ~ O(x'|a, s'),    and before its first action x_0 ~ O_0(x_0|s_0)
"""

from typing import Any

import torch
from torch import Tensor

from gio_pyro.errors import InputError, shown
from gio_pyro.tabular.information import as_distribution
from gio_pyro.tabular.mdp import TabularMDP, as_mdp
from gio_pyro.tabular.reading import OBSERVATION_TABLES, layer_attribute
from gio_pyro.utils.checks import instance, real_tensor
from gio_pyro.utils.memory import require_memory


class POMDP:
    """A finite POMDP in float64; terminal states are absorbing with value 0.

    Args:
        transition: p(s'|s, a), `[S, A, S]`.
        observation: O(x|a, s'), `[A, S, X]`; or O(x|s'), `[S, X]`, where it does not depend on the action.
        reward: `[S, A]`, or `[S, A, S]` where it depends on s'; reward units.
        discount: γ in [0, 1]; 1 requires that every state can reach a terminal state.
        terminal: `[S]` booleans, none by default.
        start: the distribution of the first state, `[S]`; uniform over non-terminal states by default.
        first_observation: O_0(x|s_0), `[S, X]`. By default O where that does not depend on the action; otherwise the
            first observation is uninformative, and the belief at the first step is `start`.

    Attributes:
        mdp: the underlying `TabularMDP`, as seen by someone who sees the state.
        observation: O(x|a, s'), `[A, S, X]`.
        first_observation: O_0(x|s_0), `[S, X]`, or None if it is uninformative.

    Raises:
        InputError: tables that are not distributions, shapes that disagree, or what `TabularMDP` refuses.
    """

    def __init__(
        self,
        transition: object,
        observation: object,
        reward: object,
        *,
        discount: float,
        terminal: object = None,
        start: object = None,
        first_observation: object = None,
    ) -> None:
        self._set(
            TabularMDP(transition, reward, discount=discount, terminal=terminal, start=start),
            observation,
            first_observation,
        )

    @classmethod
    def from_mdp(cls, mdp: TabularMDP, observation: object, *, first_observation: object = None) -> "POMDP":
        """Hide the states of an MDP behind observations; arguments and errors are those of the class.

        Raises:
            InputError: also for a batch of MDPs, and for one that forbids actions: which ones are allowed would give
                the state away.
        """
        pomdp = cls.__new__(cls)
        pomdp._set(as_mdp(mdp), observation, first_observation)
        return pomdp

    @classmethod
    def from_env(cls, env: Any, *, discount: float = 0.99) -> "POMDP":
        """Read a Gymnasium environment with a table `P`, see `TabularMDP.from_env`, and hidden states.

        The tables of observations are its attributes, or those of a wrapper, `observation_table`, `[A, S, X]`, and
        `first_observation_table`, `[S, X]`, as `gio_pyro.envs.HiddenState` and the hidden worlds there have them.

        Raises:
            InputError: no `P` or no table of observations, or tables that `TabularMDP` or `POMDP` refuse.
        """
        mdp = TabularMDP.from_env(env, discount=discount)
        tables = [layer_attribute(env, name) for name in OBSERVATION_TABLES]
        if tables[0] is None:
            raise InputError(
                f"Expected an environment with an observation_table, but {shown(env)} has none; wrap it in "
                "gio_pyro.envs.HiddenState, or read it by TabularMDP.from_env."
            )
        return cls.from_mdp(mdp, tables[0], first_observation=tables[1])

    @property
    def states(self) -> int:
        """S, the number of states."""
        return self.mdp.states

    @property
    def actions(self) -> int:
        """A, the number of actions."""
        return self.mdp.actions

    @property
    def symbols(self) -> int:
        """X, the number of different observations."""
        return self.observation.shape[-1]

    def first_beliefs(self) -> tuple[Tensor, Tensor]:
        """Return p(x_0), `[K]`, and the beliefs p(s_0|x_0), `[K, S]`, over the K possible first observations."""
        if self.first_observation is None:
            return torch.ones_like(self.mdp.start[:1]), self.mdp.start[None]
        joint = (self.mdp.start[:, None] * self.first_observation).T
        chance = joint.sum(-1)
        return chance[chance > 0], joint[chance > 0] / chance[chance > 0, None]

    def kernel(self) -> Tensor:
        """Return p(s', x|s, a) with the columns of terminal states set to 0, `[A, X, S, S]`.

        Raises:
            InputError: a table larger than the memory.
        """
        size = 8 * self.actions * self.symbols * self.states**2
        require_memory(2 * size, "the joint table of states and observations", "use a smaller POMDP")
        return torch.einsum("san,anx->axsn", self.mdp.continuation, self.observation)

    def _set(self, mdp: TabularMDP, observation: object, first_observation: object) -> None:
        if mdp.transition.ndim != 3 or not bool(mdp.allowed.all()):
            raise InputError("Expected one MDP in which every action is allowed, but got a batch or forbidden actions.")
        table, device = as_distribution("the observation table", observation), mdp.transition.device
        if table.shape[:-1] not in (mdp.transition.shape[:1], mdp.transition.shape[1:]):
            raise InputError(
                f"Expected observations of shape [{mdp.states}, X] or [{mdp.actions}, {mdp.states}, X], but got "
                f"{tuple(table.shape)}; the row of each state is a distribution over X symbols."
            )
        first = table if first_observation is None and table.ndim == 2 else first_observation
        first = None if first is None else as_distribution("the first observation table", first).to(device)
        if first is not None and first.shape != (mdp.states, table.shape[-1]):
            raise InputError(
                f"Expected first observations of shape [{mdp.states}, {table.shape[-1]}], but got {tuple(first.shape)}."
            )
        self.mdp = mdp
        self.observation = table.to(device).expand(mdp.actions, mdp.states, table.shape[-1])
        self.first_observation = first


def as_pomdp(pomdp: object) -> POMDP:
    """Return the POMDP; raises `InputError` for any other type."""
    return instance("the POMDP", pomdp, POMDP, "build one from arrays, or read an environment by from_env")


def as_belief(pomdp: POMDP, belief: object) -> Tensor:
    """Return `belief` as float64, `[..., S]`; raises `InputError` unless it holds distributions over the states."""
    b = as_distribution("the belief", belief).to(pomdp.mdp.transition.device)
    if b.shape[-1] != pomdp.states:
        raise InputError(f"Expected beliefs of shape [..., {pomdp.states}], one entry a state, but got {[*b.shape]}.")
    return b


def as_indices(name: str, values: object, count: int, device: torch.device) -> Tensor:
    """Return integers as int64 on a device; raises `InputError` unless they are from 0 to `count` − 1."""
    found = real_tensor(name, values)
    if not bool(((found >= 0) & (found < count) & (found == found.floor())).all()):
        raise InputError(f"Expected {name} to be whole numbers from 0 to {count - 1}, but got others; number from 0.")
    return found.long().to(device)
