"""A world model with finitely many hidden states: a hidden Markov model with actions."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.distributions.normalised import log_softmax, normalised
from gio_pyro.nn import Standardise
from gio_pyro.types import Seen, Transitions, WorldSpec, finite, require_world_spec

IMPOSSIBLE = 1e-30
"""Probability that a state without any keeps, so that a belief of zeros is one, too."""
SHOWN, MOVED, ENDING = 5.0, 0.1, 4.0
"""Before training each state has this logit more for one of the symbols, each symbol having as many states as it is
often seen in the first transitions, at least one as far as there are; logits of transitions have this deviation; and
every fourth state ends the episode, with this logit. So fewer fits end in a local optimum than from states that are
alike."""
CERTAIN = 40.0
"""Logit of a termination that is certain: its complement has probability 4e-18."""
LEAST_SCALE = 1e-2
"""Lower bound of the scale of a reward, in deviations of the rewards seen."""


class FiniteStateSpace(nn.Module):
    """z' ~ p(z'|z, a) over S states, x ~ p(x|a, z'), with tables; `of` takes those of a POMDP that is known.

    A belief is the probability of each state, `[B, S]`. The reward is normal around a mean for each (z, a, z'), so that
    given z' it is a mixture over z.

    Raises:
        InputError: observations or actions that are not Discrete.
    """

    learning_rate = 3e-2
    filter = "ForwardFilter"
    """The filter that is taken unless another is named."""
    states = 8
    """S."""
    rewards = True
    """Whether the site "reward" is modelled."""
    own_states = False
    """Whether z is the environment's own state, so that a filter can be compared with it; True of tables that are
    given."""

    first: Tensor
    transition: Tensor
    first_emission: Tensor
    emission: Tensor
    ending: Tensor
    mean: Tensor
    log_scale: Tensor

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        count, symbols = finite(spec.action_space, "action"), finite(spec.observation_space, "observation")
        s = self.belief_size = self.states
        shapes = {
            "first": (s,),
            "transition": (count, s, s),
            "first_emission": (s, symbols),
            "emission": (count, s, symbols),
        }
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.randn(shape)))
        self.transition.data *= MOVED
        self.ending = nn.Parameter(torch.where(torch.arange(s) >= s - s // 4, ENDING, -ENDING))
        self.mean = nn.Parameter(torch.zeros(count, s, s))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.paid = Standardise((1,))

    @classmethod
    def of(cls, pomdp: Any) -> "FiniteStateSpace":
        """Return the world model of a `tabular.POMDP`, with its tables, which are not learned."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        mdp, states = pomdp.mdp, pomdp.states
        shown = pomdp.first_observation
        if shown is None:
            shown = torch.full((states, pomdp.symbols), 1 / pomdp.symbols)
        tables = {
            "first": mdp.start.log(),
            "transition": mdp.transition.log().movedim(0, 1),
            "first_emission": shown.log(),
            "emission": pomdp.observation.log(),
            "ending": torch.where(mdp.terminal, CERTAIN, -CERTAIN),
            "mean": mdp.reward.T.unsqueeze(-1).expand(-1, -1, states),
            "log_scale": torch.zeros(()),
        }
        for name, table in tables.items():
            made.register_buffer(name, table.to(torch.get_default_dtype()).clone())
        made.own_states = True
        made.belief_size, made.paid = states, Standardise((1,))
        return made

    def observe(self, rows: Transitions) -> None:
        """Update the scale of rewards with new transitions of what was seen; the first ones place the states.

        Tables that are given need neither.
        """
        if not isinstance(self.mean, nn.Parameter):
            return
        first = not bool(self.paid.count)
        self.paid.observe(rows.reward.unsqueeze(-1))
        if first:
            self._begin(rows)

    @torch.no_grad()
    def _begin(self, rows: Transitions) -> None:
        """Let states show symbols as often as they are seen."""
        ends, symbols = self.ending > 0, self.emission.shape[-1]
        shown = torch.zeros(self.states, dtype=torch.long, device=ends.device)
        for kind in (True, False):
            counts = torch.bincount(rows.next_state[rows.terminated == kind], minlength=symbols).cpu()
            shown[ends == kind] = proportional(counts, int((ends == kind).sum())).to(shown)
        state = torch.arange(self.states, device=shown.device)
        for emission in (self.first_emission, self.emission):
            emission[..., state, shown] += SHOWN

    def prior(self, belief: Tensor, action: Tensor | None) -> Tensor:
        """Return log p(z) of every state given the belief before and the action, `[B, S]` nats."""
        if action is None:
            return self.first.log_softmax(-1).expand(*belief.shape[:-1], -1)
        table = self.transition.softmax(-1).movedim(0, 1)  # of every action at once: much faster than a table a row
        moved = (belief @ table.flatten(1)).unflatten(-1, table.shape[1:])
        index = action.view(*action.shape, 1, 1).expand(*action.shape, 1, self.belief_size)
        return log_softmax(moved.gather(-2, index).squeeze(-2).clamp_min(IMPOSSIBLE).log())

    def midway(self) -> Tensor:
        """Return what is believed in the midst of an episode of which nothing was seen: any state that is no end."""
        going = (self.ending < CERTAIN).to(self.ending)
        return going / going.sum()

    def evidence(self, action: Tensor | None, seen: Seen) -> Tensor:
        """Return log p(x|a, z), and that the episode did or did not terminate, of every state z, `[B, S]` nats."""
        shown = seen.observation
        if action is None:
            found = self.first_emission.log_softmax(-1).T[shown]
        else:
            found = self.emission.log_softmax(-1).mT[action, shown]
        if action is None or seen.terminated is None:
            return found
        sign = torch.where(seen.terminated, 1.0, -1.0).to(found).unsqueeze(-1)
        return found + nn.functional.logsigmoid(sign * self.ending)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen | None = None) -> None:
        """Sample "state", "observation" and, after an action, "reward" and "terminated"."""
        prior = self.prior(belief, action)
        with pyro.plate("batch", belief.shape[0]):
            z = pyro.sample("state", normalised(prior))
            shown = self.first_emission[z] if action is None else self.emission[action, z]
            pyro.sample("observation", dist.Categorical(logits=shown), obs=None if seen is None else seen.observation)
            if action is None:
                return
            if self.rewards:
                pyro.sample("reward", self.reward(belief, action, z), obs=None if seen is None else seen.reward)
            ended = None if seen is None or seen.terminated is None else seen.terminated.to(prior)
            pyro.sample("terminated", dist.Bernoulli(logits=self.ending[z]), obs=ended)

    def tables(self) -> dict[str, Tensor]:
        """Return the probabilities and the mean rewards in float64, by the names of their logits.

        `first` `[S]`, `transition` `[A, S, S]`, `first_emission` `[S, X]`, `emission` `[A, S, X]`, `ending` `[S]`, and
        `reward` `[A, S, S]`, reward units, 0 without rewards.
        """
        rows = ("first", "transition", "first_emission", "emission")
        found = {name: getattr(self, name).detach().double().softmax(-1) for name in rows}
        reward = (self.paid.mean + self.paid.deviation * self.mean.detach()).double()
        ending = self.ending.detach().double().sigmoid()
        return found | {"ending": ending, "reward": reward if self.rewards else torch.zeros_like(reward)}

    def reward(self, belief: Tensor, action: Tensor, z: Tensor) -> Any:
        """Return the distribution of the reward given the state that is entered, a batch of B: a mixture over z."""
        joint = belief.unsqueeze(-1) * self.transition.softmax(-1)[action]
        before, mean = (_entered(table, z) for table in (joint.clamp_min(IMPOSSIBLE).log(), self.mean[action]))
        scale = self.log_scale.exp().clamp_min(LEAST_SCALE) * self.paid.deviation
        each = dist.Normal(self.paid.mean + self.paid.deviation * mean, scale)
        return dist.MixtureSameFamily(dist.Categorical(logits=before), each)


def _entered(table: Tensor, z: Tensor) -> Tensor:
    """Return the entries of tables over (z, z'), `[B, S, S]`, for the z' that are entered `[..., B]`, `[..., B, S]`."""
    index = z[..., None, None].expand(*z.shape, table.shape[-1], 1)
    return table.expand(*z.shape, *table.shape[-2:]).gather(-1, index).squeeze(-1)


def proportional(counts: Tensor, places: int) -> Tensor:
    """Return which of K kinds has each of so many places, `[places]`, shared in proportion to their counts `[K]`.

    Every kind that was counted has one as far as they reach, the more frequent first; the rest are shared by the
    highest averages (D'Hondt). Kinds are counted as equal where there is none.
    """
    counts = counts.double() if int(counts.sum()) else torch.ones_like(counts, dtype=torch.float64)
    given = torch.zeros_like(counts)
    for _ in range(places):
        waiting = torch.where(given == 0, counts * counts.sum() * len(counts), counts / (given + 1))
        given[waiting.argmax()] += 1
    return torch.repeat_interleave(torch.arange(len(counts)), given.long())
