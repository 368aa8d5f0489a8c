"""The figures that README.md and pages of docs/ work out by hand: computed, without sampling.

    python examples/studies/worked.py                            # ten seconds: prints each where it stands in the text

Each line is a piece of the page as it is written there; a test looks it up. "The random MDPs" are 60 with 4 states, 3
actions and normal rewards, solved at temperature 0.3 from uniform policies, 100 rounds each.
"""

import itertools
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

import gio_pyro.envs  # noqa: F401 - registers the worlds
from gio_pyro import tabular
from gio_pyro.empowerment import linear_empowerment
from gio_pyro.errors import ConvergenceWarning

ALPHA, ROUNDS = 0.3, 100


def main() -> int:
    """Print every piece, page by page; returns 0."""
    torch.set_num_threads(1)
    for page, pieces in PAGES.items():
        for piece in pieces():
            print(f"{page:<16} {piece}", flush=True)
    return 0


def theory() -> Iterator[str]:
    """Yield pieces of docs/theory.md."""
    for pieces in (forgetful, rates, falls, underflow, crawl, bent, separate, merged, rewarded, linear):
        yield from pieces()


def rewarded() -> Iterator[str]:
    """Yield what the reward says beside s': in CliffWalking, by the table; in Pendulum, at the floor of the model."""
    mdp = tabular.TabularMDP.from_env(gym.make("CliffWalking-v1"))
    both, alone = (
        float(tabular.mutual_information(channel(mdp, mdp.uniform), mdp.uniform)[~mdp.terminal].mean())
        for channel in (tabular.next_state_and_reward, tabular.next_state)
    )
    yield f"{both:.3f} instead of {alone:.3f} nats"
    cost = 0.001 * math.sqrt(2**4 * (1 / 5 - 1 / 9))  # the deviation of 0.001 a² for a uniform on [−2, 2]
    spread = 3.7  # of the rewards of uniform actions
    added = 0.5 * math.log1p((cost / (spread * math.exp(-4))) ** 2)
    yield f"deviation {cost:.4f}"
    yield f"at most {added:.4f} nats"


def worlds() -> Iterator[str]:
    """Yield a piece of docs/worlds.md: how often uniform actions find the goal of the sparse maze."""
    found = []
    for useless in (0, 10, 40):
        mdp = tabular.TabularMDP.from_env(gym.make("gio/SparseMaze-v0", useless=useless))
        found.append(100 * tabular.expected_return(mdp, torch.full_like(mdp.reward, 1 / mdp.actions), 200))
    first, second, third = (float(f"{share:.1g}" if share < 1 else f"{share:.0f}") for share in found)
    yield f"the goal in {first:.0f} % of the episodes, in {second:g} % with 10 useless ones and in {third:g} % with 40"
    yield from hidden_worlds()


def hidden_worlds() -> Iterator[str]:
    """Yield a piece of docs/worlds.md: what worlds with hidden states are worth, with memory and without."""
    tiger, maze, memory = (
        tabular.POMDP.from_env(gym.make(f"gio/{name}-v0"), discount=discount)
        for name, discount in (("Tiger", 0.95), ("TMaze", 0.95), ("RepeatFirst", 1.0))
    )
    yield f"return of the tiger is {float(tabular.belief_tree(tiger, 300).value):.3f} at discount 0.95"
    yield f"The T-maze is worth {tabular.point_based(maze).lower:.3f} to an agent that"
    best, blind = tabular.point_based(memory).lower, 1 / memory.actions
    yield f"pays {best:.0f} with memory and {blind:g} without"
    yield f"{float(tabular.belief_tree(tiger, 3, discount=1.0).value):.2f}, the best return of three steps"
    heard = tabular.forward_filter(tiger, [0, 0, 0], [0, 0]).belief[-1, 0]
    yield f"{float(heard):.4f}: heard twice on the left"
    world: Any = gym.make("gio/LinearGaussian-v0").unwrapped
    tables = (world.system, world.state_cost, world.action_cost)
    yield f"costs {tabular.lqg(*tables).cost:.3f} a step"
    yield f"{tabular.lqg_cost(*tables, horizon=200):.1f}, of a whole episode"


def results() -> Iterator[str]:
    """Yield a piece of docs/results.md: the return of the best stationary policy on FrozenLake, by hill climbing."""
    mdp = tabular.TabularMDP.from_env(gym.make("FrozenLake-v1"), discount=1 - 1e-9)
    best = tabular.policy_iteration(mdp, 1e-9, guide=tabular.uniform, tolerance=1e-12).policy.argmax(-1)
    moved = True
    while moved:
        moved = False
        for state, action in itertools.product(range(mdp.states), range(mdp.actions)):
            other = best.index_fill(0, torch.tensor([state]), action)
            if lake(mdp, other) > lake(mdp, best) + 1e-9:
                best, moved = other, True
    yield f"the best stationary policy that hill climbing finds earns {lake(mdp, best):.4f} on FrozenLake"


def lake(mdp: tabular.TabularMDP, actions: Tensor) -> float:
    """Return what a policy of one action in each state earns in 100 steps."""
    return float(tabular.expected_return(mdp, torch.nn.functional.one_hot(actions, mdp.actions).double(), 100))


def readme() -> Iterator[str]:
    """Yield a piece of README.md: how long the optimum of entropy stays out of the holes of the frozen lake."""
    lake = tabular.TabularMDP.from_env(gym.make("FrozenLake-v1", is_slippery=False))
    known = {"discount": lake.discount, "start": lake.start, "terminal": lake.terminal}
    unpaid = tabular.TabularMDP(lake.transition, torch.zeros_like(lake.reward), **known)
    alive = (~lake.terminal).double()[:, None].expand_as(lake.reward)
    clock = tabular.TabularMDP(lake.transition, alive, **known)
    policy = tabular.policy_iteration(unpaid, 1.0, guide=tabular.uniform).policy
    yield f"falls into a hole after {float(tabular.expected_return(clock, policy, 100)):.1f} steps"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "README.md": readme,
    "docs/theory.md": theory,
    "docs/worlds.md": worlds,
    "docs/results.md": results,
}


def forgetful() -> Iterator[str]:
    """Section 1: a ~ N(0, 1), F = a + noise of variance v; the guide N(F, v) has forgotten the prior."""
    v = 0.5
    exact, read = 0.5 * math.log(1 + 1 / v), 0.5 * math.log(1 / v)
    yield rf"$\tfrac12 \log 3 = {exact:.4f}$; the guide $\mathcal{{N}}(F, {v})$ yields {read:.4f},"
    yield f"and the difference, {exact - read:.4f},"


def random_mdps(discount: float) -> tabular.TabularMDP:
    """Return 60 worlds in a batch; rows of exponential numbers, normalised."""
    g = torch.Generator().manual_seed(0)
    rows = -torch.rand(60, 4, 3, 4, dtype=torch.float64, generator=g).log()
    reward = torch.randn(60, 4, 3, dtype=torch.float64, generator=g)
    return tabular.TabularMDP(rows / rows.sum(-1, keepdim=True), reward, discount=discount)


def history(discount: float, **how: object) -> Tensor:
    """Return the values `[rounds + 1, 60, S]` of policy iteration from uniform policies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return tabular.policy_iteration(
            random_mdps(discount), ALPHA, tolerance=0.0, max_iterations=ROUNDS, **how
        ).history


def rates() -> Iterator[str]:
    """Section 2: the largest share of its bound that the gap to the optimum ever is, and the largest fall."""
    shares, fall = [], 0.0
    for discount in (0.0, 0.9):
        values = history(discount)
        best = tabular.policy_iteration(random_mdps(discount), ALPHA, tolerance=1e-9)
        kl = (torch.xlogy(best.policy, best.policy) + best.policy * math.log(3)).sum(-1)
        n = torch.arange(1, len(values), dtype=torch.float64)[:, None, None]
        bound = ALPHA * kl / n
        if discount:
            most = ALPHA * kl.amax(-1, keepdim=True) + (best.value - values[0]).amax(-1, keepdim=True)
            bound = most / ((1 - discount) * (n + 1))
        shares.append(float(((best.value - values[1:]) / bound).max()))
        fall = max(fall, float((-values.diff(dim=0)).max()))
    assert fall < 1e-12
    yield rf"{shares[0]:.2f} ($\gamma = 0$) and {shares[1]:.2f} ($\gamma = 0.9$) of its bound, and no value fell"


def falls() -> Iterator[str]:
    """Sections 2 and 4: futures that depend on the policy, and MIRL's moving prior."""
    fall = -history(0.9, future=tabular.state_after(2)).diff(dim=0)
    some, most = int((fall.amax((0, 2)) > 1e-9).sum()), tidy(float(fall.max()))
    yield rf"fell in some round in {some} of the 60 random MDPs ($\gamma = 0.9$), by {most} reward units at most"
    values = history(0.9, guide=tabular.marginal)
    loss = -float(values.diff(dim=0).min())
    yield rf"single states may lose (by up to {loss:.2f} on the random MDPs, $\gamma = 0.9$)"
    assert float(values.mean(-1).diff(dim=0).min()) > -1e-9


def tidy(value: float) -> str:
    """Return a small number as it is written in the text, 2e-4."""
    return f"{value:.0e}".replace("e-0", "e-")


def underflow() -> Iterator[str]:
    """Section 2: a softmax that loses actions to underflow, and a value that rests before it rises."""
    mdp = tabular.TabularMDP.from_env(gym.make("CliffWalking-v1"), discount=0.99)
    ends = [plainly(mdp, alpha) for alpha in (0.1, 0.03, 0.01)]
    assert ends[2] < -90  # 100 steps without the goal
    first, second = (f"−{-end:.0f}" for end in ends[:2])
    yield rf"ends at a return of {first} for $\alpha = 0.1$, {second} for $\alpha = 0.03$, and never reaches the goal"
    one = tabular.TabularMDP([[[1.0], [1.0]]], [[0.0, 1.0]], discount=0.9)
    values = tabular.policy_iteration(one, 0.1, [[1.0, 1e-200]]).history[:, 0]
    still = int((values.diff().abs() < 1e-9).sum())
    left = int((values[still + 1 :] < values[-1] - 1e-6).sum()) + 1
    yield f"for {still} rounds the value changes by less than 1e-9, though it ends at {values[-1]:.0f}"
    assert left <= 6


def plainly(mdp: tabular.TabularMDP, alpha: float) -> float:
    """Return what a plain loop earns in 100 steps: π = softmax(Q/α + log ρ̄) until values stop changing."""
    pi, before = torch.full_like(mdp.reward, 1 / mdp.actions), None
    while True:
        log_q = tabular.posterior(mdp, pi).mT.log()
        log_rho = torch.where(mdp.transition > 0, mdp.transition * log_q, 0.0).sum(-1)
        paid = torch.where(pi > 0, pi * (log_rho - pi.log()), 0.0).sum(-1)
        p = torch.einsum("sa,sat->st", pi, mdp.transition)
        value = torch.linalg.solve(torch.eye(mdp.states) - mdp.discount * p, (pi * mdp.reward).sum(-1) + alpha * paid)
        if before is not None and float((value - before).abs().max()) < 1e-9:
            return float(tabular.expected_return(mdp, pi, 100))
        before = value
        q = mdp.reward + mdp.discount * mdp.transition @ value
        pi = torch.softmax(q / alpha + log_rho, -1)


def crawl() -> Iterator[str]:
    """Section 2: a channel on which Blahut and Arimoto's iteration crawls, and the interior point does not."""
    x = 0.300378
    channel = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [x, x, 1 - 2 * x]], dtype=torch.float64)
    source, steps, wrong = torch.full((3,), 1 / 3, dtype=torch.float64), 0, 0.0
    while True:
        d = torch.special.xlogy(channel, channel / (source @ channel)).sum(-1)
        if float(d.max() - source @ d) < 1e-9:
            break
        steps += 1
        source = torch.softmax(source.log() + d, -1)
        if 1_000 <= steps <= 10_000:
            wrong = max(wrong, abs(float(source[2]) * steps - 1))
    assert wrong < 0.02
    needed = int(tabular.blahut_arimoto(channel).iterations)
    yield f"a bracket of 1e-9 takes some {round(steps, -4):,} steps; the method below needs {needed} iterations in all"


TRUTH = torch.tensor([0.1, 0.9], dtype=torch.float64)
"""Section 3: p(1|a) of the worked example."""


def bent() -> Iterator[str]:
    """Section 3: what the bound's gradient does to a model, with an exact guide and with a uniform one."""
    even, skew = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([0.9, 0.1], dtype=torch.float64)
    p_mu, p_pi = float(even @ TRUTH), float(skew @ TRUTH)
    zero, one = (1 - p_mu) / (1 - p_pi), p_mu / p_pi
    yield f"and the ratio is {zero:.4f} for outcome 0, {one:.4f} for outcome 1"
    slopes = [float(share) * (one - zero) for share in skew]
    logits = [slope * float(p * (1 - p)) for slope, p in zip(slopes, TRUTH, strict=True)]
    yield f"= {slopes[0]:.3f} for a = 0 and {slopes[1]:.3f} for a = 1, not 0"
    yield f"not 0 ({logits[0]:.4f} and {logits[1]:.4f} in the logit of outcome 1"
    both = fitted(even, skew, dynamics=1.0)
    yield rf"ends at $p(1 \mid 0) = {both[0]:.3f}$, $p(1 \mid 1) = {both[1]:.3f}$"
    yield f"reads {nats(both, skew):.4f} nats where the truth is {nats(TRUTH, skew):.4f}"
    alone = fitted(even, skew, dynamics=0.0)
    where = f"{alone[0]:.3f} and {alone[1]:.3f}"
    yield f"started at the truth, ends at {where} (one of many optima), {nats(alone, skew):.4f} nats"
    held = fitted(skew, skew, dynamics=1.0, guide=even)
    yield rf"$p(1 \mid 1)$ ends at {held[1]:.3f} and the information at {nats(held, skew):.4f} nats"


def fitted(mu: Tensor, pi: Tensor, *, dynamics: float, guide: Tensor | None = None) -> Tensor:
    """Return p(1|a) where gradient ascent from the truth ends; the exact guide, or one that is held fixed."""
    logit = torch.logit(TRUTH).requires_grad_()
    optimiser = torch.optim.SGD([logit], lr=1.0)
    for _ in range(2_000):
        p = torch.stack([1 - logit.sigmoid(), logit.sigmoid()], -1)
        seen = mu @ torch.stack([1 - TRUTH, TRUTH], -1)
        bound = seen @ ((pi @ p).log() if guide is None else guide @ p.log())
        known = (mu[:, None] * torch.stack([1 - TRUTH, TRUTH], -1) * p.log()).sum()
        optimiser.zero_grad()
        (-(dynamics * known + bound)).backward()
        optimiser.step()
    return logit.detach().sigmoid()


def nats(p: Tensor, source: Tensor) -> float:
    """Return the information of a binary channel, given as p(1|a)."""
    return float(tabular.mutual_information(torch.stack([1 - p, p], -1), source))


def separate() -> Iterator[str]:
    """Section 7: two members that say 0.9 and 0.1."""
    yield f"the Jensen-Shannon divergence; {nats(TRUTH, torch.tensor([0.5, 0.5])):.4f} nats for chances 0.9"


def merged() -> Iterator[str]:
    """Section 5: distinct outcomes of five actions on an open grid, a tenth of which go astray, in whole 40ths."""
    side, moves = 13, ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
    step = torch.zeros(len(moves), side * side, side * side, dtype=torch.long)
    for cell, action, taken in itertools.product(range(side * side), range(5), range(5)):
        x, y = (min(max(v, 0), side - 1) for v in (cell % side + moves[taken][0], cell // side + moves[taken][1]))
        step[action, cell, side * y + x] += 36 if taken == action else 1
    ends = torch.zeros(1, side * side, dtype=torch.long)
    ends[0, side * side // 2] = 1
    for _ in range(5):
        ends = torch.stack([ends @ one for one in step], 1).flatten(0, 1)
    yield f"5 actions leave {len(ends.unique(dim=0))} distinct sequences of {len(ends)} for a central state"


def linear() -> Iterator[str]:
    """Section 5: two steps of a linear world, and the mean slope of the squash."""
    step, push = torch.tensor([[1.0, 0.1], [0.0, 1.0]]), torch.tensor([[0.0], [0.1]])
    seen = torch.full((2,), 0.01)
    bits = [float(linear_empowerment(step, push, n, 1.0, final_noise=seen)) / math.log(2) for n in (1, 2)]
    yield f"{bits[0]:.1f} bits. n = 2"
    yield rf"$\tfrac12 \log_2 3.005 = {bits[1]:.4f}$ bits"
    a = torch.linspace(-8, 8, 100_001, dtype=torch.float64)
    slope = float((torch.softmax(-0.5 * a**2, 0) / torch.cosh(0.5 * a) ** 2).sum())
    yield f"counts {slope:.2f} of its slope at 0"


if __name__ == "__main__":
    sys.exit(main())
