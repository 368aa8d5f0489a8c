"""Model: a program read as the conditional distribution of futures, p_ψ(F|s, a)."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.errors import InputError, ProgramError
from gio_pyro.programs.latents import Latents
from gio_pyro.programs.marginal import Marginal
from gio_pyro.programs.posterior_draws import beliefs, information_gain
from gio_pyro.programs.program import Program
from gio_pyro.programs.scores import per_example
from gio_pyro.programs.sites import ACTION, FUTURE
from gio_pyro.types import Policy, PyroProgram


class Model(Program):
    """A model p_ψ(F|s, a): a program with the sites "action" and "future", and latent sites of its own.

    Attributes:
        latents: its latent sites integrated out, or None if it has none (see `gio_pyro.programs.latent_guides`).
    """

    sites = (ACTION, FUTURE)
    latents: Latents | None

    def __init__(self, program: PyroProgram) -> None:
        super().__init__(program)
        self.latents = None

    @property
    def ignores_action(self) -> bool:
        """Whether the program declares, by its attribute `ignores_action`, that p_ψ does not depend on a."""
        return bool(getattr(self.program, "ignores_action", False))

    def future(self, policy: Policy, state: Tensor, action: Tensor) -> Distribution:
        """Return p_ψ(·|s, a), a batch of B distributions; `state` and `action` are `[B, ...]`."""
        if self.latents is not None:
            return Marginal(self.latents, policy, state, action)
        return self.site(FUTURE, policy, state, data={ACTION: action})

    def log_prob(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return log p_ψ(F|s, a) of each example, `[B]` nats; with local latent sites an importance-weighted bound."""
        self._check_batch(state, action=action, future=future)
        if self.latents is not None:
            return self.latents.log_prob(policy, state, action, future)
        distribution = self.site(FUTURE, policy, state, future, data={ACTION: action})
        return per_example(distribution, future, len(state), self.name)

    def evidence(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return the fitting objective, `[B]` nats: the program's lower bound on log p_ψ(F|s, a), if it has one.

        A program implements it as `evidence(state, action, future) -> [B]`, an ensemble for example; for others it is
        the evidence lower bound where there are latent sites, and log p_ψ(F|s, a) where there are none. Where the guide
        of actions samples the latent sites, it is the evidence lower bound with that guide.
        """
        own, latents = hasattr(self.program, "evidence"), self.latents
        if not own and latents is None:
            return self.log_prob(policy, state, action, future)
        self._check_batch(state, action=action, future=future)
        if latents is None or (own and "guide" not in latents.sources):
            return self._per_example("evidence", state, action, future)
        return latents.evidence(policy, state, action, future)

    @torch.no_grad()
    def observe(self, state: Tensor, action: Tensor, future: Tensor, weight: Tensor | None = None) -> None:
        """Pass new data to the program, as `Program.observe`, and count them for the posterior of shared sites."""
        super().observe(state, action, future, weight)
        if self.latents is not None and self.latents.sites.shared:
            self.latents.examples += len(state)

    def beliefs(self, state: Tensor, action: Tensor) -> Distribution:
        """Return the predictions of K ensemble members or posterior draws, a distribution of batch shape `[K, B]`.

        A program implements it as `beliefs(state, action)`; otherwise they are those of the kept draws of its latent
        sites outside the batch plate. The disagreement is the epistemic uncertainty.

        Raises:
            InputError: the program has no such method.
            ProgramError: it does not return K × B distributions.
        """
        if self.latents is not None and self._reads_draws("beliefs"):
            self._check_batch(state, action=action)
            return beliefs(self.latents, state, action)
        self._require_method("beliefs", "(state, action)", "EnsembleModel, BayesianModel or DirichletModel")
        return self._beliefs("beliefs", state, action)

    def sample_beliefs(self, state: Tensor, action: Tensor, draws: int) -> Distribution:
        """Return the predictions under fresh draws of the posterior over weights, batch shape `[draws, B]`.

        A program implements it as `sample_beliefs(state, action, draws)`.

        Raises:
            InputError: the program has no such method.
            ProgramError: it does not return draws × B distributions.
        """
        self._require_method("sample_beliefs", "(state, action, draws)", "BayesianModel or DirichletModel")
        return self._beliefs("sample_beliefs", state, action, draws)

    def _beliefs(self, method: str, state: Tensor, action: Tensor, *count: int) -> Distribution:
        self._check_batch(state, action=action)
        found: Any = self.call(method, state, action, *count)
        shape, first = tuple(getattr(found, "batch_shape", ())), count[0] if count else "K"
        if len(shape) != 2 or shape[-1] != len(state) or (count and shape[0] != first):
            raise ProgramError(
                f"Expected {method} of {self.name} to have batch shape [{first}, {len(state)}], but got "
                f"{list(shape) or type(found).__name__}; return one distribution for each member and example."
            )
        distribution: Distribution = found
        return distribution

    def information_gain(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return the information gain KL(q_new ‖ q_old) of the posterior from each example on its own, `[B]` nats.

        A program implements it as `information_gain(state, action, future) -> [B]`; otherwise it is that about its
        latent sites outside the batch plate (`gio_pyro.programs.posterior_draws`). The model is not changed.

        Raises:
            InputError: the program has no such method.
            ProgramError: it does not return one number for each example.
        """
        self._check_batch(state, action=action, future=future)
        if self.latents is not None and self._reads_draws("information_gain"):
            return information_gain(self.latents, state, action, future)
        self._require_method("information_gain", "(state, action, future)", "BayesianModel or DirichletModel")
        return self._per_example("information_gain", state, action, future)

    def _per_example(self, method: str, state: Tensor, *others: Tensor) -> Tensor:
        """Call a method of the program that returns `[B]`."""
        found = self.call(method, state, *others)
        if not isinstance(found, Tensor) or found.shape != (len(state),):
            got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise ProgramError(
                f"Expected {method} of {self.name} to return one number for each of {len(state)} examples, but got "
                f"{got}; do not sum over the batch."
            )
        return found

    def _reads_draws(self, method: str) -> bool:
        """Return whether the draws of shared latent sites stand in for a method that the program does not have."""
        return self.latents is not None and bool(self.latents.sites.shared) and not hasattr(self.program, method)

    def _require_method(self, method: str, signature: str, alternatives: str) -> None:
        if not callable(getattr(self.program, method, None)):
            raise InputError(
                f"Expected a model that implements {method}{signature}, but {self.name} does not; use "
                f"{alternatives}, or add the method."
            )
