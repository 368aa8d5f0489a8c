"""Latent sites of a model, integrated out: with them p_ψ(F|s, a) is still one distribution over futures.

    log p(F|s, a) ≈ log 1/K Σ_k Σ_c p(F, c, z_k|s, a, w_k) / q(z_k|s, a, F),    w_k ~ q(w),  z_k ~ q(z|s, a, F)

Finite sites c are summed out. Each draw w_k of shared sites stands for their posterior, so with finite and shared sites
alone the right side is exactly the density of an equally weighted mixture over K draws. With local sites z it is the
importance-weighted bound (Burda, Grosse and Salakhutdinov, 2016, arXiv 1509.00519): a lower bound on average over
examples, and tighter with more draws; for finite futures the z_k are draws of the prior instead. The draws are
functions of kept noise (`kept_noise`), so a score is a deterministic function of its example.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from pyro import poutine
from pyro.distributions import Delta
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import Distribution, constraints, kl_divergence

from gio_pyro.programs.branches import Branches
from gio_pyro.programs.handlers import Fill, Push, Record, base_of
from gio_pyro.programs.kept_noise import KeptNoise, code_of
from gio_pyro.programs.latent_sites import LatentSites
from gio_pyro.programs.sites import ACTION, FUTURE
from gio_pyro.types import Policy

PARTICLES = 16
"""Draws K of latent sites with which log p(F|s, a) is evaluated, unless the program has an attribute `particles`."""

Values = dict[str, Tensor]
Run = Callable[[], Any]


class Latents(nn.Module):
    """The latent sites of a model, and the programs that sample them from their posterior.

    Args:
        model: the model, a `Program`; it is referred to, not registered as a part.
        sites: its latent sites.
        particles: K.
        example: state, action and future of one example, `[1, ...]` each; shared sites are drawn with it.

    Attributes:
        sources: the sites that each posterior samples: "guide", "latent_guide" or "autoguide".
        finite_future: whether futures can be enumerated.
        vectorised: whether programs run once for all draws, with a dimension to the left of the batch.
    """

    autoguide: nn.Module | None
    examples: Tensor
    some_state: Tensor
    some_action: Tensor
    some_future: Tensor

    def __init__(self, model: Any, sites: LatentSites, particles: int, example: tuple[Tensor, Tensor, Tensor]) -> None:
        super().__init__()
        self._held: tuple[Any, Any] = (model, None)
        self.sites, self.particles = sites, particles
        self.sources: dict[str, tuple[str, ...]] = {}
        self.autoguide = None
        self.noise = KeptNoise(particles, sites.local, example[0].device)
        self.vectorised = self.vectorised_draws = self.finite_future = False
        for name, tensor in zip(("state", "action", "future"), example, strict=True):
            self.register_buffer(f"some_{name}", tensor.detach().clone(), persistent=False)
        if sites.shared:
            self.register_buffer("examples", torch.zeros(()))

    @property
    def model(self) -> Any:
        """The model."""
        return self._held[0]

    def hold(self, guide: Any, names: tuple[str, ...]) -> None:
        """Let a guide sample these sites after "action", also where a guide of the model's own does."""
        self._held = (self.model, guide if names else None)
        own = {source: known for source, known in self.sources.items() if source != "guide"}
        self.sources = {source: tuple(n for n in known if n not in names) for source, known in own.items()}
        if names:
            self.sources["guide"] = names

    def guided(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the sites that some guide samples; the others are sampled from their prior."""
        known = {name for names in self.sources.values() for name in names}
        return tuple(name for name in names if name in known)

    def _by_source(self, names: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
        """Return each source with those of the sites that it samples; sources of none of them are left out."""
        wanted = set(names)
        found = [(source, tuple(n for n in known if n in wanted)) for source, known in self.sources.items()]
        return [(source, own) for source, own in found if own]

    def share(self, batch: float) -> Tensor | float:
        """Return B/N for a batch of B: the part of the divergence of shared sites that belongs to it."""
        return batch / self.examples.clamp_min(1) if self.sites.shared else 1.0

    @property
    def proposed(self) -> tuple[str, ...]:
        """Local sites whose draws come from a guide where log p(F|s, a) is evaluated; the others' from the prior.

        All come from the prior where futures are finite: then the probabilities of all futures add up to 1.
        """
        return () if self.finite_future else self.guided(self.sites.local)

    def _code(self, state: Tensor, future: Tensor) -> Tensor:
        return code_of(state) if self.finite_future else code_of(state, future)

    @property
    def draws(self) -> int:
        """Number of draws that a score averages: K, or 1 where only finite sites are summed out."""
        return self.particles if self.sites.local or self.sites.shared else 1

    # p(F|s, a), by kept draws

    def log_prob(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return log p(F|s, a) of each example, `[B]` nats."""
        return self.log_weights(policy, state, action, future).logsumexp(0) - math.log(self.draws)

    def log_weights(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return log Σ_c p(F, c, z_k|s, a, w_k) − log q(z_k|s, a, F) of each draw, `[draws, B]` nats."""
        shared = self.shared_draws(policy)
        local, log_q = self._proposals(policy, state, action, future, shared)
        run = self.run(policy, state, action, {**shared, **local}, self.draws, future)
        log_joint = run.log_prob(future) + run.log_prior((*self.sites.finite, *local))
        log_joint = log_joint.reshape(self.draws, -1, len(state)).logsumexp(1)
        return log_joint - log_q

    def sandwich(self, policy: Policy, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return imagined futures `[B, ...]`, and bounds on log p(F|s, a) from below and above in expectation, `[B]`.

        The lower bound is `log_prob`. In the upper one, one of the K draws is replaced by the latent sites that the
        future was sampled with, an exact draw of their posterior (Grosse, Ghahramani and Adams, 2015, arXiv
        1511.02543). Without local sites both are equal and exact, given the draws of shared sites.
        """
        shared = self.shared_draws(policy)
        which = int(torch.randint(self.draws, ()))
        own = {name: value[which : which + 1] for name, value in shared.items()}
        sampled = self.run(policy, state, action, own, 1, finite=False)
        future = sampled.sample(lambda fn: fn.sample())[0]
        log_weight = self.log_weights(policy, state, action, future)
        lower = log_weight.logsumexp(0) - math.log(self.draws)
        if not self.sites.local:
            return future, lower, lower
        local = {name: sampled.records[0][name]["value"].unsqueeze(0) for name in self.sites.local}
        run = self.run(policy, state, action, own | local, 1)
        log_joint = run.log_prob(future) + run.log_prior((*self.sites.finite, *self.proposed))
        exact = log_joint.logsumexp(0) - self._log_q(policy, state, action, future, own | local)
        others = torch.cat([log_weight[:which], log_weight[which + 1 :], exact.unsqueeze(0)])
        return future, lower, others.logsumexp(0) - math.log(self.draws)

    def _log_q(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor, values: Values) -> Tensor:
        """Return the log-density of one value of each guided local site, `[B]` nats; `values` are `[1, ...]`."""
        total = torch.zeros(len(state), device=state.device)
        for source, names in self._by_source(self.proposed):
            run = self.posterior(source, policy, state, action, future)
            total = total + _recorded(run, Fill({n: v[0] for n, v in values.items()})).log_prob(names)
        return total

    def shared_draws(self, policy: Policy, noise: KeptNoise | None = None) -> Values:
        """Return the draws of each shared site from its posterior, `[K, ...]`; from its prior without one.

        Args:
            policy: π.
            noise: noise that they are functions of, by default the kept one.
        """
        found: dict[str, Tensor] = {}
        noise = noise or self.noise
        for source, names in self._by_source(self.sites.shared):
            found |= self._shared_from(self.posterior(source, policy), names, noise)
        rest = tuple(name for name in self.sites.shared if name not in found)
        return found | (self._shared_from(self._prior(policy), rest, noise) if rest else {})

    def _shared_from(self, run: Run, names: tuple[str, ...], noise: KeptNoise) -> Values:
        code = code_of(self.some_state)
        if self.vectorised_draws:
            drawn = _recorded(run, Push(noise.shared))
            values = {name: drawn[name]["value"] for name in names}
            return {name: value.expand(noise.draws, *self.sites.shapes[name]) for name, value in values.items()}
        each = [_recorded(run, Push(noise.one(k, code))) for k in range(noise.draws)]
        return {name: torch.stack([drawn[name]["value"] for drawn in each]) for name in names}

    def _proposals(
        self, policy: Policy, state: Tensor, action: Tensor, future: Tensor, shared: Values
    ) -> tuple[Values, Tensor]:
        """Return the kept draws of each guided local site, `[K, B, ...]`, and their log-density, `[draws, B]` nats."""
        found: dict[str, Tensor] = {}
        code = self._code(state, future)
        log_q = torch.zeros(self.draws, len(state), device=state.device)
        for source, names in self._by_source(self.proposed):
            run = self.posterior(source, policy, state, action, future)
            values, log_density = self._proposed_by(run, names, shared, code)
            found, log_q = found | values, log_q + log_density
        return found, log_q

    def _proposed_by(self, run: Run, names: tuple[str, ...], shared: Values, code: Tensor) -> tuple[Values, Tensor]:
        batch = len(code)
        if self.vectorised:
            drawn = _recorded(run, Push(self.noise.all(code)), Fill(_widened(shared)))
            values = {name: drawn[name]["value"] for name in names}
            sizes = {name: values[name].shape[values[name].ndim - drawn[name]["fn"].event_dim :] for name in names}
            values = {name: value.expand(self.particles, batch, *sizes[name]) for name, value in values.items()}
            return values, drawn.log_prob(names).expand(self.particles, batch)
        each = [
            _recorded(run, Push(self.noise.one(k, code)), Fill({n: v[k] for n, v in shared.items()}))
            for k in range(self.particles)
        ]
        values = {name: torch.stack([drawn[name]["value"] for drawn in each]) for name in names}
        return values, torch.stack([drawn.log_prob(names).expand(batch) for drawn in each])

    def run(
        self,
        policy: Policy,
        state: Tensor,
        action: Tensor,
        values: Values,
        draws: int,
        future: Tensor | None = None,
        *,
        finite: bool = True,
    ) -> Branches:
        """Run the model with `draws` values of its latent sites, and each combination of the finite ones.

        Args:
            policy: π.
            state: `[B, ...]`.
            action: `[B, ...]`.
            values: `[draws, ...]` of shared and `[draws, B, ...]` of local sites; others come from their prior, by
                kept noise if `future` is given.
            draws: their number.
            future: `[B, ...]`, passed on to the program.
            finite: whether finite sites are enumerated; if not they are sampled.

        Returns:
            Branches, those of one draw one after the other.
        """
        batch, combinations = len(state), self.sites.combinations() if finite else {}
        each = self.sites.branches if finite else 1
        local = {n: v.repeat_interleave(each, 0) for n, v in values.items() if n not in self.sites.shared}
        for name, value in combinations.items():
            tiled = value.to(state.device).repeat(draws, *[1] * (value.ndim - 1))
            local[name] = tiled.unsqueeze(1).expand(draws * each, batch, *value.shape[1:])
        shared = {n: v.repeat_interleave(each, 0) for n, v in values.items() if n in self.sites.shared}
        args = (policy, state) if future is None else (policy, state, future)
        count, kept = draws * each, future is not None and draws == self.draws
        code = self._code(state, future) if kept and future is not None else None

        def branch(fill: Values, k: int | None) -> tuple[Distribution, Record]:
            record = Record()
            push = [] if code is None else [Push(self.noise.all(code, each) if k is None else self.noise.one(k, code))]
            handlers = (record, *push, Fill(fill))  # the last one acts first
            return self.model.site(FUTURE, *args, data={ACTION: action}, handlers=handlers), record

        if self.vectorised and count > 1:
            runs = [branch(_widened(shared) | local, None)]
        else:
            runs = [
                branch({name: value[c] for name, value in {**shared, **local}.items()}, c // each) for c in range(count)
            ]
        futures, records = zip(*runs, strict=True)
        return Branches(futures, records, count, batch)

    # fitting, by fresh draws

    def evidence(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return the evidence lower bound on log p(F|s, a) of each example by one fresh draw of each site, `[B]` nats.

        E_q[log p(F, z|s, a, w) − log q(z|s, a, F)] − KL(q(w) ‖ p(w)) / N with N observed examples; finite sites are
        summed out, or averaged under the guide if one samples them.
        """
        drawn = self._fresh(policy, state, action, future)
        names = [name for name in drawn.sites if name in (*self.sites.local, *self.sites.shared)]
        values = {name: drawn[name]["value"].unsqueeze(0) for name in names}
        run = self.run(policy, state, action, values, 1)
        local = self.guided(self.sites.local)
        log_joint = run.log_prob(future) + run.log_prior((*self.sites.finite, *local))
        bound = self._sum_out(log_joint, run, drawn) - torch.as_tensor(drawn.log_prob(local), device=state.device)
        return bound if not self.sites.shared else bound - self._kl(drawn, run.records[0]) / self.examples.clamp_min(1)

    def _sum_out(self, log_joint: Tensor, run: Branches, drawn: Record) -> Tensor:
        """Return log Σ_c p(F, c), or E_{q(c)}[log p(F, c) − log q(c)] where a guide samples them, `[B]`."""
        if not self.sites.finite or len(self.guided(self.sites.finite)) < len(self.sites.finite):
            return log_joint.logsumexp(0)
        combined = {name: value.to(log_joint.device) for name, value in self.sites.combinations().items()}
        log_q = sum(drawn[name]["fn"].log_prob(value.unsqueeze(1)) for name, value in combined.items())
        mean: Tensor = (log_q.exp() * (log_joint - log_q)).sum(0)
        return mean

    def _fresh(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Record:
        """Return all latent sites, sampled from their posteriors with gradients."""
        drawn = Record()
        for source, names in self.sources.items():
            sites = _recorded(self.posterior(source, policy, state, action, future)).sites
            others = {name for name in self.guided(self.sites.names) if name not in names}
            drawn.sites |= {name: node for name, node in sites.items() if name not in others}
        return drawn

    def recorded(self, source: str, policy: Policy) -> Record:
        """Return the sites that a source samples for the kept example."""
        return _recorded(self.posterior(source, policy))

    def _kl(self, drawn: Record, run: Record) -> Tensor:
        """Return KL(q(w) ‖ p(w)), nats: in closed form where that of every site is known, else by the one draw."""
        shared = self.guided(self.sites.shared)
        if not shared:
            return self.examples.new_zeros(())
        pairs = [(_density(drawn, name, run[name]["fn"]), run[name]["fn"]) for name in shared]
        try:
            if any(isinstance(base_of(q), Delta) for q, _ in pairs):  # the value of sites sampled before
                raise NotImplementedError
            return torch.stack([kl_divergence(q, p).sum() for q, p in pairs]).sum()
        except NotImplementedError:
            inner = (*self.sites.finite, *self.sites.local, ACTION)
            sampled = [node for name, node in drawn.sites.items() if name not in inner]
            log_q = torch.stack([node["fn"].log_prob(node["value"]).sum() for node in sampled]).sum()
            log_p = torch.stack([run[name]["fn"].log_prob(drawn[name]["value"]).sum() for name in shared])
            return log_q - log_p.sum()

    # the programs that sample the posterior

    def _prior(self, policy: Policy) -> Run:
        data = {ACTION: self.some_action, FUTURE: self.some_future}
        return lambda: poutine.condition(self.model, data)(policy, self.some_state)

    def posterior(
        self,
        source: str,
        policy: Policy,
        state: Tensor | None = None,
        action: Tensor | None = None,
        future: Tensor | None = None,
    ) -> Run:
        """Return a run of one source, with the action observed; by default on the kept example."""
        if state is None or action is None or future is None:
            state, action, future = self.some_state, self.some_action, self.some_future
        if source == "guide":
            return lambda: poutine.condition(self._held[1], {ACTION: action})(policy, state, future)
        if source == "latent_guide":
            return lambda: self.model.call("latent_guide", state, action, future)
        return lambda: self.model.isolated(self.autoguide, policy, state)


def _recorded(run: Run, *handlers: Messenger) -> Record:
    """Return the sites of a run under handlers; outer handlers do not see it."""
    record = Record()
    with poutine.block(), ExitStack() as stack:
        for handler in (record, *handlers):
            stack.enter_context(handler)
        run()
    return record


def _density(drawn: Record, name: str, prior: Distribution) -> Distribution:
    """Return the density of a site of an autoguide, which samples it as "NAME_unconstrained" where it is unbounded."""
    support: Any = prior.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    own = drawn.sites.get(f"{name}_unconstrained") if support is constraints.real else None
    found: Distribution = (own or drawn[name])["fn"]
    return found


def _widened(shared: Values) -> dict[str, Tensor]:
    """Return values of shared sites with a batch dimension, `[K, 1, ...]`."""
    return {name: value.unsqueeze(1) for name, value in shared.items()}
