"""Generative intrinsic optimisation: collect → fit → read the reward → evaluate → improve (theory, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gio_pyro import checkpoint, persistence
from gio_pyro.environment import Behaviour, Collector, Env, fresh_copy, make_env
from gio_pyro.errors import InputError
from gio_pyro.evaluation import TableCritic
from gio_pyro.futures import Future, future_from
from gio_pyro.improvement import TablePolicy
from gio_pyro.inference import Inference, objective_named
from gio_pyro.programs import build_guide, build_model, resolve, without_validation
from gio_pyro.randomness import PrivateRandom
from gio_pyro.replay import Replay
from gio_pyro.rewards import expected_log_guide, intrinsic_reward
from gio_pyro.rollout import Evaluation, play
from gio_pyro.settings import Settings, device_named
from gio_pyro.types import Program, Spec, Transitions

OTHER_SEED = 1_000_003
"""Added to the training seed for whatever must not repeat or disturb training: played episodes, drawn predictions."""

Metrics = dict[str, float]
Callback = Callable[["GIO", Metrics], bool | None]
"""Called after every round with the agent and its metrics; returning False stops `learn`."""


class GIO:
    """An agent that is paid for futures which reveal its actions.

    Args:
        environment: an id registered with Gymnasium, or a `gymnasium.Env` with Discrete spaces, which the agent then
            steps itself: do not step it between calls of `learn`.
        model: p_ψ: a name in `gio_pyro.models`, `package.module:Name`, `file.py:Name`, a class built from a
            `Spec`, or a program.
        guide: q_φ, likewise. The guide is the method: see theory, section 4.
        future: what the agent is paid to control; the next state by default.
        device: where tables, networks and replay live; "auto" takes a GPU where there is one.
        **settings: see `Settings`, e.g. `temperature`, `discount`, `seed`.

    Raises:
        InputError: an unknown environment, unsupported spaces, or a setting out of range.
        ProgramError: a program that cannot be found or breaks the contract.

    Example:
        >>> agent = GIO("FrozenLake-v1", temperature=0.01, seed=0).learn(40_000)
        >>> action, _ = agent.predict(0, deterministic=True)
    """

    def __init__(
        self,
        environment: str | Env,
        *,
        model: str | Program = "CategoricalModel",
        guide: str | Program = "CategoricalGuide",
        future: str | Future | None = None,
        device: str = "auto",
        **settings: Any,
    ) -> None:
        self.settings = Settings.from_names(settings)
        self.env = make_env(environment)
        self.future: Future = future_from(future)
        self.device = device_named(device)
        self.random = PrivateRandom(self.settings.seed, self.device)
        self.playing = PrivateRandom(self.settings.seed + OTHER_SEED, self.device)
        self.steps = 0
        self.collector = Collector(self.env, seed=self.settings.seed)
        self.replay = Replay(self.settings.buffer_size)
        states, actions = self.collector.states, self.collector.actions
        self.spec = Spec(states.space, actions.space, self.future.space(states.space))
        self.programs = {"model": model, "guide": guide}
        with self.random.use():
            self._build(states.count, actions.count)

    def _build(self, states: int, actions: int) -> None:
        s = self.settings
        program = {kind: resolve(given, kind) for kind, given in self.programs.items()}
        self.policy = TablePolicy(states, actions).to(self.device)
        self.critic = TableCritic(states, actions, initial_value=s.initial_value).to(self.device)
        first = torch.zeros(1, dtype=torch.long, device=self.device)
        with torch.device(self.device):
            self.model = build_model(program["model"], self.spec, self.policy, first).to(self.device)
            self.guide = build_guide(program["guide"], self.spec, self.model, self.policy, first).to(self.device)
        objective = s.objective or getattr(program["guide"], "objective", None) or "sleep"
        self.inference = Inference(self.model, self.guide, objective_named(objective), learning_rate=s.learning_rate)

    def learn(self, steps: int, *, callback: Callback | None = None, progress_bar: bool = False) -> GIO:
        """Take `steps` environment steps, learning after every `train_freq` of them; returns the agent.

        Learning goes in rounds of `train_freq` steps, the last one shorter if need be; so two calls of N steps are one
        call of 2 N where `train_freq` divides N.

        Raises:
            InputError: `steps` is negative, or the environment gives an observation outside its space.
            TrainingError: a loss or a reward is NaN or infinite, or the environment raises.
        """
        if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 0:
            raise InputError(f"Expected a whole number of steps, at least 0, but got {steps!r}.")
        end = self.steps + steps
        with tqdm(total=steps, unit="step", disable=not progress_bar) as bar:
            while self.steps < end:
                before = self.steps
                with self._private():
                    metrics = self._round(min(self.settings.train_freq, end - before))
                bar.update(self.steps - before)
                bar.set_postfix_str(_headline(metrics))
                if callback is not None and callback(self, metrics) is False:
                    break
        return self

    @contextmanager
    def _private(self) -> Iterator[None]:
        """Draw this agent's own numbers, with gradients, and without Pyro's validation: finiteness is checked here."""
        with self.random.use(), torch.enable_grad(), without_validation():
            yield

    def _round(self, steps: int) -> Metrics:
        s = self.settings
        collected = self.collector.collect(Behaviour(self.policy, s.uniform_share, self.device), steps).to(self.device)
        self.replay.add(collected)
        self.steps += steps
        fitted: dict[str, Tensor] = {}
        change = float("nan")
        for _ in range(s.gradient_steps):
            batch = self.replay.batch(s.batch_size)
            fitted = self.inference.step(self.policy, batch, self.future.of(batch))
        for _ in range(s.improvements):
            change = self._improve(self.replay.merged())
        return self._metrics(collected.state, fitted, change)

    def _improve(self, everything: Transitions) -> float:
        """Evaluate the policy and improve it, once (theory, equations 5 and 6); returns the last change of a value."""
        s = self.settings
        change = self.critic.evaluate(
            everything,
            self.policy,
            self._intrinsic(everything.next_state),
            discount=s.discount,
            temperature=s.temperature,
            sweeps=s.sweeps,
        )
        state, _ = everything.distinct_states()
        self.policy.improve(state, self.critic(state), self._log_rho(state), temperature=s.temperature)
        return change

    def _metrics(self, visited: Tensor, fitted: dict[str, Tensor], change: float) -> Metrics:
        """Return the round's figures; the mutual information is averaged over the states just visited."""
        returns, lengths = self.collector.returns, self.collector.lengths
        information = float(self._intrinsic(visited).mean())
        metrics = {
            "time/total_timesteps": float(self.steps),
            "rollout/ep_rew_mean": float(np.mean(returns)) if returns else float("nan"),
            "rollout/ep_len_mean": float(np.mean(lengths)) if lengths else float("nan"),
            "intrinsic/nats": information,
            "intrinsic/reward": self.settings.temperature * information,
            "train/entropy": float(self.policy(visited).entropy().mean()),
            "train/value_change": change,
        }
        return metrics | {f"train/{name}_nats": float(value) for name, value in fitted.items()}

    def _log_rho(self, state: Tensor) -> Tensor:
        return expected_log_guide(self.model, self.guide, self.policy, state, samples=self.settings.samples)

    def _intrinsic(self, state: Tensor) -> Tensor:
        distinct, where = torch.unique(state, return_inverse=True)
        return intrinsic_reward(self.policy, distinct, self._log_rho(distinct))[where]

    def intrinsic_reward(self, state: Tensor) -> Tensor:
        """Return what the guide pays in each state `[B]` under the current policy, `[B]` nats (theory, equation 3).

        With a learned guide this is a lower bound on the mutual information under the fitted model. Reading it
        changes nothing, and the same state reads the same until the agent learns on.
        """
        with PrivateRandom(self.settings.seed, self.device).use(), torch.no_grad():
            return self._intrinsic(state.to(self.device))

    def predict(
        self, observation: Any, state: None = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, None]:
        """Return (action, None) for an observation, or actions for an array of them, as Stable-Baselines3 does.

        Args:
            observation: one value of the observation space, or an array `[N]` of them.
            state: accepted and not used: the policy has no memory.
            episode_start: likewise.
            deterministic: take the likeliest action instead of drawing one.

        Raises:
            InputError: an observation outside the space.
        """
        values = np.asarray(observation)
        if values.size == 0:
            return np.zeros(values.shape, dtype=np.int64), None
        indices = [self.collector.states.index(value) for value in values.reshape(-1)]
        with self.playing.use(), torch.no_grad():
            pi = self.policy(torch.tensor(indices, dtype=torch.long, device=self.device))
            action = pi.logits.argmax(-1) if deterministic else pi.sample()
        actions = action.cpu().numpy().reshape(values.shape) + self.collector.actions.first
        return (actions if values.ndim else actions[()]), None

    def evaluate(
        self, episodes: int = 20, *, deterministic: bool = False, seed: int | None = None, max_steps: int = 10_000
    ) -> Evaluation:
        """Play whole episodes in a fresh copy of the environment; learning is not affected.

        Args:
            episodes: how many.
            deterministic: take the likeliest action instead of drawing one.
            seed: of the first episode; a number far from the training seed by default.
            max_steps: an episode without a step limit of its own is cut here.

        Raises:
            InputError: no episodes asked for, or an environment that cannot be made again.
        """
        first = self.settings.seed + OTHER_SEED if seed is None else seed
        env = fresh_copy(self.env)
        return play(self.predict, env, episodes, deterministic=deterministic, seed=first, max_steps=max_steps)

    def save(self, path: str | Path) -> None:
        """Write a checkpoint into the folder `path`, atomically; one that is there is replaced.

        It holds tensors and plain types only. The environment's own state is not part of it: after `load` the
        running episode is dropped and a new one begins.
        """
        checkpoint.write(Path(path), persistence.state_of(self))

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        environment: str | Env | None = None,
        model: Program | str | None = None,
        guide: Program | str | None = None,
        future: Future | None = None,
        device: str = "auto",
    ) -> GIO:
        """Return the agent that was saved in the folder `path`.

        No code is run that the caller did not name: programs outside `gio_pyro.models` and `gio_pyro.guides`, futures
        outside `gio_pyro.futures`, and environments that Gymnasium does not know by id, must be passed again.

        Raises:
            CheckpointError: no checkpoint, or one that is truncated, foreign or damaged.
        """
        return persistence.restore(cls, checkpoint.read(Path(path)), environment, model, guide, future, device)


def _headline(metrics: Metrics) -> str:
    information = round(metrics["intrinsic/nats"], 4) + 0.0  # no minus sign before a zero
    return f"return {metrics['rollout/ep_rew_mean']:.3g}, MI {information:.4f} nats"
