"""Generative intrinsic optimisation: collect → fit → evaluate → improve (theory, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv
from torch import Tensor, nn
from tqdm import tqdm

from gio_pyro.actor_critic import NetworkActorCritic, actor_critic_of, steppers, temperature_of, total
from gio_pyro.actor_critic.behaviour import mixed_behaviour, select_action
from gio_pyro.actor_critic.guide_reward import finite_nats, reward_named
from gio_pyro.actor_critic.metrics import policy_metrics
from gio_pyro.actor_critic.network_update import FINITE, NetworkUpdate, all_finite
from gio_pyro.actor_critic.table_fit import TableFit
from gio_pyro.agent.training_monitor import TrainingMonitor, not_finite, paid_at_most
from gio_pyro.beliefs import beliefs_of, believed_space, world_programs
from gio_pyro.callbacks import Callback, Metrics, combined
from gio_pyro.checkpointing import agent_state, file_format
from gio_pyro.checkpointing.summary import summary
from gio_pyro.collection import Actions, Collector, Env, Observations, copy_environment, make_env
from gio_pyro.collection.choosing import Choosing, Memory
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.collection.evaluate import (
    Evaluation,
    play_episodes,
    play_episodes_in_copies,
    play_vector_episodes,
    require_episode_arguments,
)
from gio_pyro.collection.make import Vector, single_spaces
from gio_pyro.collection.mask_handlers import evaluation_mask_handler, mask_handler_of
from gio_pyro.collection.predict import predict_actions
from gio_pyro.collection.wrappers import first_env
from gio_pyro.data.image_planes import image_axis
from gio_pyro.data.replay_buffer import warn_of_size
from gio_pyro.data.training_batches import newly_known, require_room_for, sequence_batch, training_batch
from gio_pyro.dreaming import NoRollouts, dreams_of
from gio_pyro.errors import InputError
from gio_pyro.explorers import scheduler_of
from gio_pyro.futures import Future, FutureLike, future_from, spec_of, without_masks
from gio_pyro.futures.wrapped import future_in
from gio_pyro.inference import (
    Inference,
    ObjectiveLike,
    OptimLike,
    objective_for,
    optim_from,
    separated,
    sequence_length_of,
)
from gio_pyro.nn import restore_optimiser
from gio_pyro.nn.step_sizes import scale_step_sizes
from gio_pyro.planning import NoPlanner, Planner, planner_of
from gio_pyro.programs import build_pair, chosen_programs, without_validation
from gio_pyro.settings import Settings, finite_world, under_own_names
from gio_pyro.signals import Fitted
from gio_pyro.signals.reward_mix import reward_mix_of
from gio_pyro.types import Behaviour, PyroProgram, Transitions, finite, in_space
from gio_pyro.utils.checks import batch, function, invalid_argument, one_of_two, switch, whole
from gio_pyro.utils.devices import device_from_name
from gio_pyro.utils.files import folder_named
from gio_pyro.utils.memory import REDUCE_ADVICE, MemoryCheck, memory_errors
from gio_pyro.utils.pickling import Picklable
from gio_pyro.utils.randomness import PROCESS_LOCK, PrivateRandom
from gio_pyro.utils.threads import few_threads

MOST_STEPS = 2**40
"""Environment steps in one call of `learn`."""
OTHER_SEED = 1_000_003
"""Added to the training seed for evaluation and prediction, so that they use separate random streams."""

SAVED = "as saved"
"""The planner of `GIO.load` that keeps that of the checkpoint."""

ROUNDS_AT_ONCE = 20
"""Rounds of collecting and updating between looks at the progress bar."""
OBSERVED_AT_ONCE = 100
"""Environment steps between updates of input normalisers; one at every step would take 10 % of the run time."""


class GIO(Picklable):
    """Agent that maximises reward and the mutual information of actions and futures (theory, equation 4).

    Args:
        environment: an id registered with Gymnasium, a `gymnasium.Env`, or a vector of them; the agent steps it, so do
            not step it between calls of `learn`.
        model: p_ψ: a name in `gio_pyro.models`, `package.module:Name`, `file.py:Name`, a class built from a
            `Spec`, or a program.
        guide: q_φ, likewise. The guide selects the method (theory, section 4).
        world_model: for environments that are seen in part: a name in `gio_pyro.models` such as RecurrentStateSpace, or
            a program as above, built from a `WorldSpec`; states are then the beliefs of its filter (theory, section 6).
        filter: of the world model: a name in `gio_pyro.guides`, or a program as above; by default the one that the
            world model names.
        future: F; the next state by default. `NextStateAndReward()`, the paper's (s', r), says more where the reward
            depends on the action beyond s', which it does in no environment of the README (theory, section 3).
        recipe: a published system by its name, such as plan2explore (see `gio_pyro.recipes`): arguments for all that is
            not given beside it.
        device: device of tables, networks and replay; "auto" takes a GPU if there is one.
        **settings: see `Settings`, e.g. `temperature`, `discount`, `seed`; `gamma` and `tau` are accepted too.

    Raises:
        InputError: an unknown environment, unsupported spaces, or a setting out of range.
        ProgramError: a program that cannot be found or breaks the contract.

    Examples:
        >>> agent = GIO("FrozenLake-v1", temperature=0.01, seed=0).learn(40_000)
        >>> action, _ = agent.predict(0, deterministic=True)
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        environment: str | Env | Vector,
        *,
        model: str | PyroProgram | None = None,
        guide: str | PyroProgram | None = None,
        world_model: str | PyroProgram | None = None,
        filter: str | PyroProgram | None = None,
        future: str | FutureLike | None = None,
        recipe: str | None = None,
        device: str = "auto",
        **settings: Any,
    ) -> None:
        self.env = make_env(environment)
        raw_states, raw_actions = single_spaces(self.env)
        acts = Actions.of(raw_actions)
        observations, actions = Observations.of(raw_states, quiet=True).space, acts.space
        parts = {"model": model, "guide": guide, "world_model": world_model, "filter": filter, "future": future}
        settings = parts | under_own_names(settings)
        if recipe is not None:
            from gio_pyro.recipes import with_recipe

            settings = with_recipe(recipe, settings, finite=finite_world(observations, actions))
        model, guide, world_model, filter, future = (settings.pop(name, None) for name in parts)
        self.future: Future = future_from(future)
        self.device = device_from_name(device)
        worlds = world_programs(world_model, filter)
        written, self.objects = separated(settings)
        self.settings = Settings.of(written, states=believed_space(worlds, observations), actions=actions)
        with memory_errors(REDUCE_ADVICE):
            make_copy = partial(copy_environment, first_env(self.env))
            mask_handler, masks = mask_handler_of(observations, actions, make_copy, hidden=bool(worlds))
        self.masks = nn.Module() if masks is None else masks.to(self.device)
        self.random = PrivateRandom(self.settings.seed, self.device)
        self.playing = PrivateRandom(self.settings.seed + OTHER_SEED, self.device)
        self.steps = self.unobserved = 0
        self.collector = Collector(self.env, seed=self.settings.seed, device=self.device, mask_handler=mask_handler)
        with self.random.use(), memory_errors(REDUCE_ADVICE):
            count = self.collector.environments.count
            self.beliefs = beliefs_of(self.settings, worlds, observations, actions, count, self.device)
        states = self.beliefs.space(observations)
        self.future = future_in(self.future, first_env(self.env), states)
        space = mask_handler.space(states)
        self.future = without_masks(self.future, 0 if space is states else finite(actions, "action"))
        self.spec = spec_of(self.future, space, actions, parts=acts.parts, hidden=self.settings.hidden, masks=masks)
        self.seen_space = mask_handler.space(observations)
        self.replay = self.beliefs.replay(self.settings.buffer_size, image_axis(self.seen_space))
        warn_of_size(self.spec, self.settings.buffer_size, self.device)
        self.programs = chosen_programs(self.spec, model, guide) | worlds
        with self.random.use(), memory_errors(REDUCE_ADVICE):
            self._build()

    def _build(self) -> None:
        s = self.settings
        sized = MemoryCheck("policy and critic", REDUCE_ADVICE, self.device, partial(actor_critic_of, self.spec, s))
        with torch.device(self.device), sized:
            self.actor_critic = actor_critic_of(self.spec, s).to(self.device)
            self.policy = self.actor_critic.policy
            self.model, self.guide = build_pair(self.programs, self.spec, self.policy, self.device)
            self.temperature = temperature_of(self.spec, s).to(self.device)
        self.reward = reward_named(s.intrinsic, self.model, self.guide, self.future, samples=s.samples)
        self.reading = reward_named("imagined", self.model, self.guide, self.future, samples=s.samples)
        programs = self.model, self.guide, self.policy
        fitted = Fitted(self.spec, self.future, *programs, self.replay, graphs=s.compile is not False)
        with MemoryCheck("the signal and dreams", REDUCE_ADVICE):
            self.reward_mix = reward_mix_of(s, fitted).to(self.device)
            self.dreaming = self._dreams(fitted).to(self.device)
        with torch.device(self.device), MemoryCheck("the explorer", REDUCE_ADVICE, self.device):
            streams, values = self.collector.environments.count, self.actor_critic.action_values
            self.explorer = scheduler_of(s, fitted, self.reward_mix, streams, values).to(self.device)
        self.planning = self._planning(fitted)
        given = self.objects.get("objective", s.objective)
        objective = self.planning.objective or objective_for(self.guide, given, samples=s.samples)
        if sequence_length_of(objective) > 1 and self.future.sequential:
            raise InputError(
                f"Expected a future of one step for an objective along trajectories, but got {self.future}; take "
                "another objective, such as sleep."
            )
        self.inference = Inference(
            self.model,
            self.guide,
            objective,
            learning_rate=s.learning_rate,
            optim=optim_from(self.objects.get("optim", s.optim)),
            training=s.training,
            action_space=self.spec.action_space,
        )
        self._anneal()
        self.update, self.table_fit = self._network_update(), self._table_fit()
        self.figures: dict[str, Tensor] = {}
        self.monitor = TrainingMonitor(self.spec.action_space, s.discount)
        self.largest_reward = self.largest_paid = 0.0
        self.sound = torch.ones((), dtype=torch.bool, device=self.device)
        self.unbounded = agent_state.unbounded(self)

    def _dreams(self, fitted: Fitted) -> NoRollouts:
        """Return the rollouts in the model, and what they and a planner ask beside it."""
        s = self.settings
        sizes: dict[str, Any] = {"horizon": s.dream_horizon, "share": s.dream_share, "samples": s.samples}
        return dreams_of(
            fitted, **sizes, learning_rate=s.learning_rate, planned=s.planner is not None and not self.beliefs.learns
        )

    def _planning(self, fitted: Fitted) -> NoPlanner:
        """Return what plans with the programs, the reward and the critic of this agent."""
        s = self.settings
        read = [self.model, self.guide, self.actor_critic, self.dreaming, self.masks, self.beliefs]
        rolled_out = None if s.planner is None else self.beliefs.imagination(self._mixed_reward)
        return planner_of(
            s.planner,
            fitted,
            self.dreaming,
            pay=self._mixed_reward,
            critic=self._q,
            value=self._soft_value,
            temperature=self._alpha,
            discount=s.discount,
            streams=self.collector.environments.count,
            capacity=s.buffer_size if s.objective is None else 0,
            captured=s.compile is not False,
            reads=[] if self.reward_mix.learns else read,
            imagination=rolled_out,
        ).to(self.device)

    def _mixed_reward(self, rows: Transitions) -> Transitions:
        return self.reward_mix.mix(rows, self.steps)

    def _q(self, state: Tensor) -> Tensor:
        return total(self.actor_critic.critic, self.actor_critic.apart, state)

    def _soft_value(self, state: Tensor, alpha: Tensor | float) -> Tensor:
        return self.actor_critic.value(self.reward, alpha, state)

    def _alpha(self) -> Tensor | float:
        return self.temperature.at(self.steps)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers by name; programs without parameters and tables have none."""
        others = self.beliefs.optimisers | self.dreaming.optimisers | self.explorer.optimisers()
        return self.inference.optimisers | steppers(self.actor_critic, self.temperature) | others

    def _anneal(self) -> None:
        if self.settings.annealing != 1:
            scale_step_sizes(self.optimisers().values(), self.settings.annealed(self.steps))

    def load_optimisers(self, saved: dict[str, Any]) -> None:
        """Restore the state of each optimiser, by name; raises `CheckpointError` where it does not fit."""
        for name, optimiser in self.optimisers().items():
            restore_optimiser(optimiser, saved[name])
        self._anneal()

    def learn(
        self,
        steps: int | None = None,
        *,
        total_timesteps: int | None = None,
        callback: Callback | Sequence[Callback] | None = None,
        progress_bar: bool = False,
        stop: Callable[[], bool] | None = None,
    ) -> GIO:
        """Take `steps` environment steps, learning after every `train_freq` of them; return the agent.

        Learning alternates `train_freq` steps and updates, with a shorter last round if necessary; so two calls of N
        steps equal one call of 2 N if `train_freq` divides N. With several environments a round takes at least one step
        of each, and the last round may exceed `steps` by a few.

        Args:
            steps: environment steps, counted over all environments, in addition to those already taken.
            total_timesteps: alias of `steps`, as in Stable-Baselines3; give only one of them.
            callback: called every `log_interval` steps, and at the end, with the agent and its metrics (see
                `metrics`); returning False stops. A list is called in order (see `gio_pyro.callbacks`).
            progress_bar: show a progress bar with return, mutual information and steps per second.
            stop: called after every round; returning True ends learning without a report.

        Concurrent calls from other threads (`save`, `evaluate`, `metrics`, `predict`, a copy) run between two rounds.

        Raises:
            InputError: `steps` is not a number or negative, `callback` cannot be called, or the environment gives an
                observation of another shape or kind than its space; the bounds of a Box are not checked.
            TrainingError: a loss, a reward or an observation is NaN or infinite, or the environment raises.
            ProgramError: the model or the guide raises.
        """
        given = one_of_two("steps", steps, "total_timesteps", total_timesteps)
        wanted, advice = "a whole number of steps, at least 0", "say how many the environment takes"
        count = whole("steps", given, 0, MOST_STEPS, wanted=wanted, advice=advice)
        report = combined(callback)
        progress_bar = switch("progress_bar", progress_bar)
        stop = None if stop is None else function("stop", stop, "nothing that says whether to end")
        end = self.steps + count
        self._expect(count)
        with tqdm(total=count, unit="step") if progress_bar else nullcontext() as bar:
            while self.steps < end:
                before = self.steps
                with PROCESS_LOCK:
                    due = self._rounds(end, most=1 if stop is not None else ROUNDS_AT_ONCE)
                    metrics = self.metrics() if due else {}
                if bar is not None:
                    bar.update(self.steps - before)
                if due:
                    if bar is not None:
                        nats = round(metrics["intrinsic/nats"], 4) + 0.0  # avoid a negative zero
                        bar.set_postfix_str(f"return {metrics['rollout/ep_rew_mean']:.3g}, MI {nats:.4f} nats")
                    if report(self, metrics) is False:
                        break
                if stop is not None and stop():
                    break
        return self

    def __repr__(self) -> str:
        """Return environment, spaces, programs, steps, and the settings that are not the defaults."""
        return summary(self)

    @contextmanager
    def _private(self) -> Iterator[None]:
        """Use the agent's own random stream, gradients, and no validation by Pyro: `metrics` checks finiteness."""
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            self.random.use(),
            without_validation(),
            few_threads(self.settings.hidden),
            memory_errors(REDUCE_ADVICE),
        ):
            yield

    def _rounds(self, end: int, most: int) -> bool:
        """Take rounds up to the next report, `most` of them, or fewer where another thread waits; return if it is due.

        Between two rounds the private settings stay: entering them takes a tenth of a round.
        """
        interval = self.settings.log_interval
        with self._private():
            for _ in range(most):
                before = self.steps
                self._round(min(self.settings.train_freq, end - before))
                if self.steps >= end or self.steps // interval > before // interval:
                    return True
                if PROCESS_LOCK.awaited:
                    break
        return False

    def _round(self, steps: int) -> None:
        """Collect `steps` environment steps, then update."""
        s = self.settings
        if self._collect(steps):
            for _ in range(s.updates):
                self._update(improvements=0 if self.steps < s.learning_starts else s.improvements)

    def _collect(self, steps: int) -> bool:
        """Collect `steps` environment steps; return whether replay is large enough to learn from."""
        s = self.settings
        collected = self.collector.collect(self.beliefs.behaviour(self._behaviour()), steps)
        rows = self.replay.add(collected.rows, *collected.links())
        self.planning.keep(rows)
        if self.reward_mix.learns:
            self.reward_mix.observe(self.replay.latest(len(rows)))
        self.steps += len(rows)
        self._anneal()
        self.unobserved += len(rows)
        learns = len(self.replay) >= (s.batch_size or 1)
        at_once = 1 if s.batch_size is None else OBSERVED_AT_ONCE  # a whole replay is fitted: all of it is observed
        if self.unobserved >= at_once or (learns and self.unobserved == self.steps):  # before the first update
            self._observe()
        return learns

    def _behaviour(self) -> Behaviour:
        """Return the behaviour policy: uniform before `learning_starts`, then policy or planner, guide and explorer."""
        s = self.settings
        if self.steps < s.learning_starts:
            return self.actor_critic.behaviour(uniform_share=1.0)
        exploration: dict[str, Any] = {
            "uniform_share": s.uniform_share,
            "greedy": s.greedy,
            "explore": self.guide.explorer,
        }
        own = self.actor_critic.behaviour(**exploration) if self.update is None else self.update.behaviour
        mixed = partial(mixed_behaviour, finite=isinstance(self.spec.action_space, Discrete), **exploration)
        return self.explorer.behaviour(self.planning.behaviour(own, mixed, bool(len(self.replay))), self.replay)

    def _observe(self) -> None:
        """Update input normalisers with the transitions collected since the last call."""
        if self.beliefs.learns:
            self.beliefs.observe(self.replay.seen.latest(self.unobserved))
        rows, future = newly_known(self.future, self.replay, self.policy, self.spec.state_space, self.unobserved)
        self.monitor.known(len(rows), len(self.replay), self.future.steps)
        for program in (self.model, self.guide) if len(rows) else ():
            program.observe(rows.state, rows.action, future, rows.weight if self.future.sequential else None)
        latest = self.replay.latest(self.unobserved)
        self.actor_critic.observe(latest.state)
        self.dreaming.observe(latest)
        self.explorer.observe(latest)
        self.unobserved = 0
        if self.update is not None:
            self.update.recheck()

    def _update(self, improvements: int) -> None:
        """Fit both programs, then evaluate and improve the policy (theory, equations 5 to 8).

        There are no improvements during warm-up: with an untrained guide the policy would become deterministic (theory,
        section 3). Signals and dreams are trained even if `gradient_steps` is 0. Where nothing comes between the last
        fit and the first improvement, these are one step on the same batch.
        """
        s = self.settings
        replanned = s.replanned if improvements else 0
        # infer: gradient steps on the world model and its filter
        if self.beliefs.learns:
            fused = int(self._one_step and improvements > 0)
            self._note(self.beliefs.update(self.replay, s.gradient_steps, s.gradient_steps + improvements - fused))
        # fit: gradient steps on the model (dynamics term) and the guide (its objective), signals and dreams
        fits = max(s.gradient_steps, int(self.reward_mix.learns or self.dreaming.learns))
        for number in range(fits):
            if number == 0 or s.batch_size is not None:  # without a batch size: always the whole replay
                batch, future = self._examples()
                if self.table_fit is not None:
                    batch = self.table_fit.begin(batch, future)
            if improvements and number == fits - 1 and self._one_step:
                self._improve(batch, future)
                improvements -= 1
                continue
            fitted = self._fit(batch, future) if number < s.gradient_steps else {}
            self._note(fitted | self.reward_mix.update(batch) | self.dreaming.update(batch))
        for _ in range(improvements):
            self._improve(self.actor_critic.rows(self.replay))
        self.planning.refresh()
        self.planning.renew(self.replay, replanned)

    @property
    def _one_step(self) -> bool:
        """Whether a fit and an improvement can be one step: of networks, from transitions, with nothing in between."""
        between = self.reward_mix.learns or self.dreaming.learns or self.settings.gradient_steps == 0
        sequences = self.future.sequential or sequence_length_of(self.inference.objective) > 1
        return self.update is not None and not between and not sequences

    def _fit(self, batch: Transitions, future: Tensor) -> dict[str, Tensor]:
        """Take one gradient step of the programs."""
        if self.table_fit is not None:
            return self.table_fit.step(batch, future)
        if self.update is None:
            return self.inference.step(self.policy, batch, future)
        if self._one_step:
            self.update.prepare(batch, future, self.steps, self.reward_mix.auxiliary(batch, self.steps))
        return self.update.fit(batch, future)

    def _improve(self, rows: Transitions, future: Tensor | None = None) -> None:
        """Evaluate and improve the policy on transitions `[B, ...]`; with their futures, fit the programs first."""
        alpha = self.temperature.at(self.steps)
        rows = self.beliefs.rewarded(rows, self.replay, alpha)  # r ← r + α (information gain − state consistency)
        batch = self.dreaming.beside(rows)  # replayed transitions, and rollouts in the model
        rewarded = self.reward_mix.mix(batch, self.steps)  # r ← w r + β signal
        auxiliary = self.reward_mix.auxiliary(batch, self.steps)
        if self.update is None:
            figures = self.actor_critic.improve(rewarded, self.reward, self.temperature, self.steps, auxiliary)
        elif future is None:
            figures = self.update.improve(rewarded, self.steps, auxiliary)
        else:
            figures = self.update.fit_and_improve(batch, future, rewarded, self.steps, auxiliary)
        self._note(figures | self.explorer.improve(self.replay, self.steps))
        if self.guide.follows:  # the guide follows the policy (e.g. equation 10)
            self.guide.follow(self.policy, rows)
            if self.update is not None:
                self.update.recheck()

    def _network_update(self) -> NetworkUpdate | None:
        """Return the update of networks; None for tables, whose steps are not graphs."""
        control = self.actor_critic
        if not isinstance(control, NetworkActorCritic):
            return None
        s, parts = self.settings, (self.inference, control, self.reward, self.temperature, [self.masks])
        behaviour = control.behaviour(uniform_share=s.uniform_share, greedy=s.greedy, explore=self.guide.explorer)
        return NetworkUpdate(*parts, behaviour, s.compile)

    def _table_fit(self) -> TableFit | None:
        """Return the gradient steps of tables on the whole replay; None for networks and for samples of replay."""
        s, control = self.settings, self.actor_critic
        trajectories = sequence_length_of(self.inference.objective) > 1
        if isinstance(control, NetworkActorCritic) or s.batch_size is not None or trajectories:
            return None
        return TableFit(self.inference, control.policy, [self.masks], s.compile)

    def _expect(self, steps: int) -> None:
        """Say how many updates are to come in as many environment steps, which decides what is worth compiling."""
        s = self.settings
        if self.table_fit is not None:
            self.table_fit.expect(steps * s.updates * s.gradient_steps // s.train_freq)
        if self.update is not None:
            rounds = [max(0, count) * s.updates // s.train_freq for count in (s.learning_starts - self.steps, steps)]
            self.update.expect(rounds[0] * s.gradient_steps, max(0, rounds[1] - rounds[0]))
        self.beliefs.expect(steps * s.updates // s.train_freq)

    def _examples(self) -> tuple[Transitions, Tensor]:
        """Sample the training batch of the programs: transitions, or subsequences for trajectory objectives."""
        size = self.settings.batch_size
        if (steps := sequence_length_of(self.inference.objective)) > 1:
            return sequence_batch(self.future, self.replay, size, steps)
        if size is None and not self.replay.finite:
            require_room_for(len(self.replay), self.spec, self.device)
        batch, future = training_batch(self.future, self.replay, self.policy, self.spec.state_space, size)
        if size is None:
            require_room_for(len(batch), self.spec, self.device)
        return batch, future

    def _note(self, figures: dict[str, Tensor]) -> None:
        """Store losses on the device until `metrics` is called, and record whether any was not finite."""
        if not figures:
            return
        self.sound &= figures.pop(FINITE) if FINITE in figures else all_finite(figures)
        self.figures |= figures

    def metrics(self) -> Metrics:
        """Return the logged metrics: losses of the last gradient step, and means over recently visited states.

        The intrinsic reward (theory, equation 3) is averaged over the last `log_interval` states; it is a lower
        bound on mutual information if the guide depends on the future.

            time/total_timesteps                      environment steps taken
            rollout/ep_rew_mean, rollout/ep_len_mean  mean return and length of the last 100 collected episodes
            intrinsic/nats, intrinsic/nats_std        mean and standard deviation of the intrinsic reward over states
            intrinsic/reward                          that mean times the temperature, reward units
            intrinsic/signal                          mean of the signal, in its own unit; 0 without one
            train/ent_coef                            temperature α, reward units per nat
            train/entropy                             entropy of the policy, nats; after the squash where continuous
            train/dynamics_nats, train/guide_nats     log-likelihood of the model, objective of the guide
            train/value_change                        largest change of Q in the last sweep (tables)
            train/critic_loss, train/q                loss of the critic and mean Q (networks)
            train/actor_loss                          loss of the policy (networks)
            train/signal_*                            as above, for the signal's own value function
            train/explorer_*                          as above, for the explorer; its share of steps and goals reached
            train/dream_*                             errors of the fitted reward, termination and action mask
            train/*_gradient                          norm of a gradient
            train/world_nats                          bound on the log-likelihood of what is seen, for each step
            bound/*                                   terms of the generative agent's bound, with a world model: reward,
                                                      and in nats information gain, state and action consistency

        Further keys of `train/` are losses of the signal.

        Raises:
            TrainingError: a loss has been NaN or infinite since the last call; such gradient steps are skipped.
        """
        with PROCESS_LOCK:
            return self._metrics()

    def _metrics(self) -> Metrics:
        s = self.settings
        losses = {f"train/{name}": float(value) for name, value in self.figures.items()}
        if not bool(self.sound):
            self.sound.fill_(True)
            raise not_finite(losses)
        alpha = float(self.temperature.at(self.steps))
        with PrivateRandom(s.seed, self.device).use(), without_validation():  # beliefs and terms of the bound are drawn
            recent = self.replay.latest(s.log_interval + s.train_freq + self.collector.environments.count)
            visited = self.replay.latest(s.log_interval)
            policy = policy_metrics(self.actor_critic, self.reading, visited.state, alpha, self.guide.name)
            rewards = self.reward_mix.mix(recent, self.steps).reward
            signal = {"intrinsic/signal": float(self.reward_mix.read(visited).mean())}
            bound = self._bound(visited, policy["intrinsic/nats"])
        self.largest_reward = max(self.largest_reward, float(rewards.abs().max()))
        taken = {"time/total_timesteps": float(self.steps)} | self.collector.metrics() | self.beliefs.metrics()
        metrics = taken | policy | signal | bound | losses
        if isinstance(self.actor_critic, NetworkActorCritic) and losses:
            self.largest_paid = max(self.largest_paid, paid_at_most(metrics))
            self.monitor.check(metrics, self.largest_reward + self.largest_paid, self.collector.returns)
        return metrics

    def _bound(self, visited: Transitions, nats: float) -> dict[str, float]:
        """Return the mean of each term of the bound (theory, section 6); nothing without a world model."""
        found = self.beliefs.bound(visited, self.replay)
        if not found:
            return {}
        return {"bound/reward": float(visited.reward.mean())} | found | {"bound/action_consistency": -nats}

    def intrinsic_reward(self, state: Tensor) -> Tensor:
        """Return the intrinsic reward of each state `[B, ...]` under the current policy, `[B]` nats (equation 3).

        With a learned guide this is a lower bound on the mutual information under the fitted model. The agent does
        not change, and repeated calls give the same values until it learns again. Continuous actions and
        futures are sampled once each.

        Raises:
            InputError: states of another space.
        """
        given = batch("states", state)
        if not in_space(given, self.spec.state_space):
            raise invalid_argument(
                f"states [B, ...] of {self.spec.state_space}", state, "encode observations as the agent does"
            )
        with PrivateRandom(self.settings.seed, self.device).use(), torch.no_grad():
            return finite_nats(self.actor_critic.intrinsic(self.reading, given.to(self.device)), self.guide.name)

    @property
    def planner(self) -> Planner | None:
        """The planner that the agent acts by; None without one, or where it acts by its habit or its policy alone.

        Set it to None to act without planning: by the habit, if the guide was distilled from plans (`HabitGuide`), else
        by the policy. Set it to the text of a planner to plan with that one, in an agent that was built with one.

        Raises:
            InputError: a planner for an agent that was built without one, or one that does not fit.
        """
        return self.planning.acting

    @planner.setter
    def planner(self, text: str | None) -> None:
        self.planning.act_by(text)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        """Return (action, state) for an observation, or actions for a batch of them, as Stable-Baselines3 does.

        Args:
            observation: one value of the observation space, or a batch of N (an array, or a dictionary of arrays).
            state: with a world model the beliefs and last actions that the call before returned, an array `[N, M]`;
                None where all episodes begin. Without one it is ignored, and None is returned.
            episode_start: with a world model `[N]` booleans, which episodes begin; by default none of those with a
                state.
            deterministic: take the policy's most probable action instead of a sample.
            action_masks: flags of allowed actions, as in the environment's `info["action_mask"]`, or a batch of N; by
                default those in a dictionary of observations. Without any, finite states allow what they allowed in
                training, and others everything, with a `GioWarning` if the environment gives masks.

        Raises:
            InputError: an observation of another shape or kind than the space, NaN or infinite, or a mask of another
                shape; the bounds of a Box are not checked.
        """
        choose = partial(self._choose, deterministic=switch("deterministic", deterministic))
        kept = state if self.beliefs.learns else None
        return predict_actions(choose, self.collector, observation, action_masks, kept, episode_start)

    def _choose(
        self,
        states: Array,
        allowed: Array | None = None,
        memory: Memory = None,
        begins: Array | None = None,
        *,
        deterministic: bool,
    ) -> tuple[Array, Memory]:
        """Return actions for what is seen `[N, ...]`, values of the site "action", and the memory after (see `Act`)."""
        with torch.inference_mode(False), self.playing.use(), torch.no_grad(), without_validation():
            seen = torch.as_tensor(states, device=self.device)
            flags = None if allowed is None else torch.as_tensor(allowed, device=self.device)
            state = self.beliefs.recall(seen, memory, begins)
            policy = self.planning.policy(self.policy) if len(self.replay) else self.policy
            action = select_action(policy, state, flags, deterministic=deterministic)
            return action.cpu().numpy(), self.beliefs.remember(state, action)

    def evaluate(
        self,
        episodes: int = 20,
        *,
        deterministic: bool = False,
        seed: int | None = None,
        max_steps: int = 10_000,
        environment: str | Env | Vector | None = None,
    ) -> Evaluation:
        """Play whole episodes in a copy of the environment as it is now; training is not affected.

        Attributes set on the environment, its wrappers and their state are copied; running statistics
        (`NormalizeObservation`, `NormalizeReward`) are frozen, and returns are in the units of the wrapped environment,
        before any reward normalisation. Up to 32 copies are stepped together, so that the policy runs once for all of
        them; episodes are played one after another if the environment cannot be copied several times, or if its
        episodes depend on one another. A vector environment is copied as a whole; its environments play in turn.

        Every episode has its own seed, so that its return under deterministic actions is the same in either case, up to
        rounding by the networks.

        Args:
            episodes: number of episodes.
            deterministic: take the policy's most probable action instead of a sample.
            seed: seed of the first episode, from which those of the others are derived; a number far from the training
                seed by default. In a vector environment it seeds the first episodes, and the others are not seeded.
            max_steps: steps after which an episode is truncated.
            environment: another environment to play in, with the same spaces: an id, an environment or a vector. The
                latter two are themselves reset and stepped, one episode after another, and not closed. Empty running
                statistics are copied from the agent's environment.

        Raises:
            InputError: a number out of range, an environment that cannot be copied, or one of other spaces.
            TrainingError: the environment raises, or gives a reward or an observation that cannot be used.
        """
        deterministic = switch("deterministic", deterministic)
        first = self.settings.seed + OTHER_SEED if seed is None else seed
        require_episode_arguments(episodes=episodes, max_steps=max_steps, seed=first)
        with PROCESS_LOCK, self.collector.evaluation_environment(environment) as env:
            choose = Choosing(partial(self._choose, deterministic=deterministic))
            handler = evaluation_mask_handler(self.collector.environments.masks.handler)
            if isinstance(env, VectorEnv):
                return play_vector_episodes(
                    choose, env, episodes, seed=first, max_steps=max_steps, mask_handler=handler
                )
            if environment is None or isinstance(environment, str):
                stream = self.playing.state
                played = play_episodes_in_copies(
                    choose, env, episodes, seed=first, max_steps=max_steps, mask_handler=handler
                )
                if played is not None:
                    return played
                self.playing.state = stream
            return play_episodes(
                self.predict, env, episodes, deterministic=deterministic, seed=first, max_steps=max_steps
            )

    def save(self, path: str | Path) -> None:
        """Write a checkpoint into the folder `path`, atomically, replacing an existing one.

        It holds only tensors and plain types, and the whole training state: a loaded agent continues exactly as this
        one would. `load` replays the actions of the running episode; if the environment does not return to the same
        state, it warns (`GioWarning`) and begins a new episode. Running statistics of wrappers are saved. An
        environment that was modified after it was made must be passed to `load`.

        Raises:
            InputError: `path` is not a path, or cannot be written.
            CheckpointError: the agent could not be loaded again, for example because a parameter is NaN.
        """
        folder = folder_named(path)
        with PROCESS_LOCK:
            file_format.write(folder, agent_state.storable(self))

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        environment: str | Env | Vector | None = None,
        model: PyroProgram | str | None = None,
        guide: PyroProgram | str | None = None,
        world_model: PyroProgram | str | None = None,
        filter: PyroProgram | str | None = None,
        future: str | FutureLike | None = None,
        signal: str | None = None,
        explorer: str | None = None,
        planner: str | None = SAVED,
        objective: ObjectiveLike | None = None,
        optim: OptimLike | None = None,
        device: str = "auto",
    ) -> GIO:
        """Return the agent that was saved in the folder `path`.

        Only code named by the caller or part of the library is run: custom programs, futures, signals, explorers,
        planners, objectives and optimisers, programs given as instances, wrapped environments and environments not
        registered with Gymnasium must be passed again. If the number of environments differs from training, new
        episodes begin, with one `GioWarning`. `planner=None` acts without planning, as setting `agent.planner` to None
        does.

        Raises:
            InputError: `path` is not a path.
            CheckpointError: a checkpoint that is missing, truncated, damaged or of another format, or that belongs to
                another environment or other programs.
        """
        with torch.inference_mode(False):
            state = file_format.read(folder_named(path))
            given = (environment, model, guide, future, device)
            again: dict[str, Any] = {"signal": signal, "explorer": explorer, "objective": objective, "optim": optim}
            again |= {"planner": None if planner == SAVED else planner}
            texts, objects = separated(again)
            worlds = {"world_model": world_model, "filter": filter}
            agent = agent_state.restore(cls, state, *given, worlds=worlds, objects=objects, **texts)
            if planner is None:
                agent.planner = None
            return agent
