"""An intrinsic reward for another library's loop: fitted to its samples, computed for its training batches."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gio_pyro.collection import Actions, Env, Observations, make_env
from gio_pyro.collection.make import Vector, single_spaces
from gio_pyro.collection.samples import Read, Samples, first_of
from gio_pyro.collection.wrappers import first_env
from gio_pyro.data.image_planes import image_axis
from gio_pyro.data.placing import sequence_starts, with_links
from gio_pyro.data.replay_buffer import Replay, warn_of_size
from gio_pyro.errors import CheckpointError, InputError, TrainingError, describe_error, shown, unknown
from gio_pyro.futures import FutureLike, future_from, spec_of
from gio_pyro.futures.wrapped import future_in
from gio_pyro.inference import Inference, ObjectiveLike, OptimLike, objective_for, optim_from
from gio_pyro.programs import build_pair, chosen_programs, uniform_actions, without_validation
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted, signal_named
from gio_pyro.signals.reward_mix import RewardMix
from gio_pyro.types import PyroProgram, Transitions
from gio_pyro.utils.calls import to_builtin
from gio_pyro.utils.checks import whole
from gio_pyro.utils.devices import device_from_name
from gio_pyro.utils.memory import REDUCE_ADVICE, MemoryCheck, memory_errors
from gio_pyro.utils.pickling import Picklable
from gio_pyro.utils.randomness import PROCESS_LOCK, PrivateRandom


class IntrinsicReward(Picklable):
    """Computes the signal of each transition as a reward; by default the information of its future about its action.

    That is `signals.Control`, log q_φ(a|s, F) − log π(a|s) in nats (theory, equation 3). π is the uniform policy,
    whatever policy acts, so the reward is a property of the environment and not of the agent, which may learn by any
    method. Its mean over uniform actions is a lower bound on I(F; A|s).

    Args:
        environment: an id, an environment or a vector of them; only its spaces are used.
        future: F, of one step.
        model: p_ψ: a name, a class or a program, as for `GIO`.
        guide: q_φ, likewise.
        signal: the signal: a name in `gio_pyro.signals`, perhaps with settings ("Empowerment(3)"), or file.py:Name.
        objective: the objective of the guide, as for `GIO`: a name, an ELBO of `pyro.infer`, or a function.
        optim: the optimiser of model and guide, as for `GIO`; Adam by default.
        updates: gradient steps per `update`.
        batch_size: transitions per gradient step.
        buffer_size: capacity of the replay buffer.
        learning_rate: Adam's step size for programs without one of their own.
        hidden: units of each hidden layer.
        seed: the seed of the programs and of all sampling.
        device: cpu, cuda or auto.
        **others: none; an unknown setting is an error that names the closest one.

    Raises:
        InputError: an unknown setting, unsupported spaces, a future of several steps, an unknown signal, one that
            needs another model, or a number out of range.
        ProgramError: a program that cannot be found or breaks the contract.

    Examples:
        >>> reward = IntrinsicReward("CartPole-v1")
        >>> reward.update(samples)
        >>> bonus = reward.compute(samples)  # [T, N] nats
    """

    def __init__(
        self,
        environment: str | Env | Vector,
        *,
        future: str | FutureLike | None = None,
        model: str | PyroProgram | None = None,
        guide: str | PyroProgram | None = None,
        signal: str = "Control",
        objective: ObjectiveLike | None = None,
        optim: OptimLike | None = None,
        updates: int = 20,
        batch_size: int = 256,
        buffer_size: int = 100_000,
        learning_rate: float = 1e-3,
        hidden: tuple[int, ...] = (128, 128),
        seed: int = 0,
        device: str = "auto",
        **others: Any,
    ) -> None:
        for name in others:
            known = list(inspect.signature(IntrinsicReward).parameters)[:-1]
            raise InputError(unknown("settings", name, known, advice="see gio_pyro.IntrinsicReward"))
        updates, batch_size, buffer_size = map(to_builtin, (updates, batch_size, buffer_size))
        for name, number in (("updates", updates), ("batch_size", batch_size), ("buffer_size", buffer_size)):
            whole(name, number, 1)
        self.updates, self.batch_size = updates, batch_size
        self.device, self.future = device_from_name(device), future_from(future)
        env = make_env(environment)
        raw_states, raw_actions = single_spaces(env)
        self.observations, self.actions = Observations.of(raw_states, quiet=True), Actions.of(raw_actions)
        if self.future.sequential:
            raise InputError(
                f"Expected a future of one step, which single transitions hold, but got {self.future}; take NextState "
                "or NextStateAndReward."
            )
        states, actions = self.observations.space, self.actions.space
        self.future = future_in(self.future, first_env(env), states)
        given = {"learning_rate": learning_rate, "hidden": hidden, "seed": seed}
        own = Settings.of(given, states=states, actions=actions)  # refuses what is out of range
        learning_rate, hidden, seed = own.learning_rate, own.hidden, own.seed
        self.spec = spec_of(self.future, states, actions, parts=self.actions.parts, hidden=hidden)
        self.replay = Replay(buffer_size, image_axis(self.spec.state_space))
        warn_of_size(self.spec, buffer_size, self.device)
        self.random = PrivateRandom(seed, self.device)
        with (
            self.random.use(),
            memory_errors(REDUCE_ADVICE),
            torch.device(self.device),
            MemoryCheck("signal", REDUCE_ADVICE, self.device),
        ):
            chosen = chosen_programs(self.spec, model, guide)
            self.model, self.guide = build_pair(chosen, self.spec, self.policy, self.device)
            fitted = Fitted(self.spec, self.future, self.model, self.guide, self.policy, self.replay)
            self.signal = signal_named(signal, fitted).to(self.device)
        self.signal.trace()
        self.reward_mix = RewardMix(self.signal, 1.0, 0.0)
        aim = objective_for(self.guide, objective, samples=1)
        self.inference = Inference(
            self.model,
            self.guide,
            aim,
            learning_rate=learning_rate,
            optim=optim_from(optim),
            action_space=self.spec.action_space,
        )

    def policy(self, state: Tensor) -> Any:
        """Return B uniform distributions over actions, before the squash where actions are continuous."""
        return uniform_actions(self.spec, state)

    def update(self, samples: Samples) -> dict[str, float]:
        """Add samples to replay and fit signal and programs; return the metrics of the last step (see `fit`).

        Raises:
            InputError: invalid samples; see `gio_pyro.collection.samples`.
            TrainingError: a loss that is not finite.
        """
        with PROCESS_LOCK:
            self.observe(samples)
            return self.fit()

    def observe(self, samples: Samples) -> Any:
        """Add samples to replay without fitting; return the number of each transition, integers `[T, N]`.

        A column continues the earlier samples of its environment where its first observation is their last next
        observation, unless an episode ended there; so trajectories may come in parts of any length. Invalid samples
        change nothing.

        Raises:
            InputError: invalid samples; see `gio_pyro.collection.samples`.
        """
        read = self._read(samples)
        places = list(read.pieces())
        for place in places if len(places) > 1 else ():
            read.rows(place)  # raises before anything is stored
        streams = read.optional("streams")
        with self.random.use(), without_validation(), memory_errors(REDUCE_ADVICE):
            first = self.replay.added
            for place in places:
                stream = self._columns(place, read.shape[1]) if streams is None else streams[place]
                self._take(read.rows(place), stream)
        return np.arange(first, first + len(read)).reshape(read.shape)

    def fit(self) -> dict[str, float]:
        """Fit signal and programs to the observed samples; return the metrics of the last step.

        The programs are fitted where the signal reads them, as the information does.

        Raises:
            InputError: no samples were observed yet.
            TrainingError: a loss that is not finite.
        """
        figures: dict[str, Tensor] = {}
        with self.random.use(), without_validation(), torch.enable_grad(), memory_errors(REDUCE_ADVICE):
            for _ in range(self.updates):
                batch = self.replay.sample(self.batch_size)
                if self.signal.reads_programs:
                    figures = self.inference.step(self.policy, batch, self.future.of(batch))
                figures = figures | self.reward_mix.update(batch)
        self._programs_changed()
        metrics = {name: float(value) for name, value in figures.items()}
        if not all(np.isfinite(list(metrics.values()))):
            raise TrainingError(f"Expected finite losses, but got {metrics}; look for NaN in the samples.")
        return metrics

    def _read(self, samples: Samples) -> Read:
        return Read(samples, self.observations, self.actions, self.device)

    @staticmethod
    def _columns(place: slice, count: int) -> list[int]:
        return [number % count for number in range(place.start, place.stop)]

    def _take(self, rows: Transitions, stream: list[int]) -> None:
        """Add transitions `[B]` to replay; update the statistics of the programs and of the signal."""
        rows = self.replay.add(rows, stream, sequence_starts(self.replay, rows, stream))
        future = self.future.of(rows)
        for program in (self.model, self.guide):
            program.observe(rows.state, rows.action, future)
        self.reward_mix.observe(rows)
        self._programs_changed()

    def _programs_changed(self) -> None:
        if self.signal.traced is not None:
            self.signal.traced.changed()

    def compute(self, samples: Samples) -> Any:
        """Return the reward of each transition, `[T, N]` in the unit of the signal; this changes nothing.

        The result is an array or a tensor, as the observations of the samples are. A signal with an episodic memory
        evaluates a transition that has `numbers` as of its time, and any other as the next one of its stream.

        Raises:
            InputError: invalid samples; see `gio_pyro.collection.samples`.
            TrainingError: NaN or infinity in the signal.
        """
        read = self._read(samples)
        places = [slice(0, len(read))] if self.signal.episodic else list(read.pieces())
        with PrivateRandom(0, self.device).use(), without_validation():
            paid = torch.cat([self.signal(self._placed(read, place)) for place in places]).reshape(read.shape)
        given = first_of(samples["observations"])
        return paid.to(given.device) if read.tensors else paid.cpu().numpy()

    def _placed(self, read: Read, place: slice) -> Transitions:
        """Return transitions with their stream, episode and time, or those they would get if they were observed now."""
        rows = read.rows(place)
        if not self.signal.episodic:
            return rows
        streams = read.optional("streams") or self._columns(place, read.shape[1])
        return with_links(self.replay, rows, streams, read.optional("numbers"))

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, as tensors and plain values."""
        optimiser = self.inference.optimiser
        with PROCESS_LOCK:
            return {
                "model": self.model.state_dict(),
                "guide": self.guide.state_dict(),
                "signal": self.signal.state_dict(),
                "optimiser": None if optimiser is None else optimiser.state_dict(),
                "replay": self.replay.state_dict(),
                "random": self.random.state,
            }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; raise `CheckpointError` for the state of another reward."""
        if not isinstance(state, Mapping):
            raise CheckpointError(
                f"Expected what state_dict returned, but got {shown(state)}; pass that of this reward."
            )
        try:
            self.model.load_state_dict(state["model"])
            self.guide.load_state_dict(state["guide"])
            self.signal.load_state_dict(state["signal"])
            if self.inference.optimiser is not None:
                self.inference.optimiser.load_state_dict(state["optimiser"])
            self.replay.load_state_dict(state["replay"], self.device)
            self.random.state = state["random"]
            self._programs_changed()
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise CheckpointError(
                f"Expected the state of a reward with the same programs and spaces, but got {describe_error(error)}."
            ) from error
